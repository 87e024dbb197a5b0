"""Who may ask: ranges of client addresses. Never an open resolver by default.

RFC 5358: a resolver that answers the whole internet is somebody's amplifier.
"""

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from enforcer.policy.model import Address, Network

# Loopback, RFC 1918, RFC 6598 (behind a carrier's NAT), link-local, and RFC 4193.
PRIVATE: Final = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


class Access:
    """A set of ranges, asked once for each packet."""

    def __init__(self, networks: Iterable[Network]) -> None:
        given = tuple(networks)
        self._borders = {
            version: _borders(network for network in given if network.version == version)
            for version in (4, 6)
        }

    def allows(self, client: Address) -> bool:
        """Whether a range holds it: it then stands behind an odd number of borders."""
        return bisect_right(self._borders[client.version], int(client)) & 1 == 1


def _borders(networks: Iterable[Network]) -> list[int]:
    """Where each range begins and where it ends, in order, overlapping ones joined."""
    borders: list[int] = []
    for first, end in sorted(
        (int(network.network_address), int(network.broadcast_address) + 1) for network in networks
    ):
        if borders and first <= borders[-1]:
            borders[-1] = max(borders[-1], end)
        else:
            borders += (first, end)
    return borders
