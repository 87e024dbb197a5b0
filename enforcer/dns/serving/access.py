"""Who may ask: ranges of client addresses. Never an open resolver by default.

RFC 5358: a resolver that answers the whole internet is somebody's amplifier.
"""

from bisect import bisect_right
from collections.abc import Iterable

from enforcer.policy.model import Address, Network


class Access:
    """A set of ranges, asked once for each packet."""

    def __init__(self, networks: Iterable[Network]) -> None:
        given = tuple(networks)
        self._borders = {
            version: _borders(network for network in given if network.version == version)
            for version in (4, 6)
        }

    def __bool__(self) -> bool:
        """Whether there is a range at all."""
        return any(self._borders.values())

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
