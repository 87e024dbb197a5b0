"""Client and destination addresses in the one form that rules are written in."""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from enforcer.policy.model import Address, Network

# A v4 prefix is as specific as the v6 prefix that maps it (RFC 4291 2.5.5.2).
_MAPPED_BITS = 96


def parse_address(text: str) -> Address:
    """An address without scope id; a v4-mapped v6 address is the v4 address.

    Raises ValueError.
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def prefix_bits(network: Network) -> int:
    """How specific a range is, comparable between v4 and v6; never 0."""
    return network.prefixlen + 1 + (_MAPPED_BITS if network.version == 4 else 0)  # noqa: PLR2004


def longest_prefix(address: Address, networks: Iterable[Network]) -> int:
    """The bits of the most specific range that holds the address; 0 when none does."""
    return max((prefix_bits(network) for network in networks if address in network), default=0)
