"""Client and destination addresses in the one form that rules are written in."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

from enforcer.policy.model import Address, Network

# A v4 prefix is as specific as the v6 prefix that maps it (RFC 4291 2.5.5.2).
_MAPPED_BITS = 96
# Clients come back, and to make an address takes longer than to read their query.
_UNPACKED_KEPT = 16_384


def parse_address(text: str) -> Address:
    """An address without scope id; a v4-mapped v6 address is the v4 address.

    Raises ValueError.
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=_UNPACKED_KEPT)
def unpack_address(packed: bytes) -> Address:
    """The same out of the four or sixteen bytes of the wire. Raises ValueError."""
    address = ip_address(packed)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def parse_written_address(text: str) -> Address:
    """The same of what a person wrote, who may put brackets round v6 (RFC 3986 3.2.2)."""
    bracketed = text.startswith("[") and text.endswith("]")
    return parse_address(text[1:-1] if bracketed and ":" in text else text)


def parse_network(text: str) -> Network:
    """An address or a range without host bits; a v4-mapped v6 range is the v4 range.

    Raises ValueError with a sentence, and after a semicolon what would be right.
    """
    try:
        network = ip_network(text)
    except ValueError as error:
        try:
            remedy = f"write {ip_network(text, strict=False)}"
        except ValueError:
            remedy = "write an address or a range such as 203.0.113.0/24"
        raise ValueError(f"{error}; {remedy}") from None
    if isinstance(network, IPv6Network):
        if network.network_address.scope_id:
            raise ValueError(f"{text!r} has a zone; leave out % and what follows")
        mapped = network.network_address.ipv4_mapped
        if mapped and network.prefixlen >= _MAPPED_BITS:
            return ip_network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def prefix_bits(network: Network) -> int:
    """How specific a range is, comparable between v4 and v6; never 0."""
    return network.prefixlen + 1 + (_MAPPED_BITS if network.version == 4 else 0)  # noqa: PLR2004


def longest_prefix(address: Address, networks: Iterable[Network]) -> int:
    """The bits of the most specific range that holds the address; 0 when none does."""
    return max((prefix_bits(network) for network in networks if address in network), default=0)
