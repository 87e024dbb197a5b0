"""The PROXY protocol's header, version 2: for whom a proxy speaks. Pure.

https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt section 2.2. It stands before
the first message of a stream, and in each datagram. Only a proxy that the settings name
may send one: whoever could would choose its own address.
"""

import struct
from ipaddress import ip_address
from typing import Final, NamedTuple

from enforcer.policy.addresses import parse_address
from enforcer.policy.model import Address
from enforcer.tls.first_bytes import NEED_MORE, NeedMore

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
# Signature, version and command, family and protocol, length of what follows.
PREFIX: Final = struct.Struct("!12sBBH")
_VERSION_2: Final = 0x20
_LOCAL, _PROXY = 0, 1
# Of the first half byte: AF_INET, AF_INET6. Two addresses, then two ports.
_ADDRESS_BYTES: Final = {1: 4, 2: 16}
_PORTS_BYTES: Final = 4
_MAX_FAMILY, _MAX_PROTOCOL = 3, 2


class ProxyHeader(NamedTuple):
    """``client`` is None where the proxy speaks for itself, or of no address at all."""

    client: Address | None
    size_bytes: int


def parse_proxy_header(data: bytes | bytearray) -> ProxyHeader | NeedMore | None:
    """The header that the bytes begin with, or None for what is none. Never raises."""
    if bytes(data[: len(SIGNATURE)]) != SIGNATURE[: len(data)]:
        return None
    if len(data) < PREFIX.size:
        return NEED_MORE
    _, version_command, family_protocol, length = PREFIX.unpack_from(data)
    command = version_command ^ _VERSION_2
    family, protocol = family_protocol >> 4, family_protocol & 0xF
    if command not in (_LOCAL, _PROXY) or family > _MAX_FAMILY or protocol > _MAX_PROTOCOL:
        return None
    size_bytes = PREFIX.size + length
    address_bytes = _ADDRESS_BYTES.get(family, 0) if command == _PROXY and protocol else 0
    if address_bytes and length < 2 * address_bytes + _PORTS_BYTES:
        return None
    if len(data) < size_bytes:
        return NEED_MORE
    if not address_bytes:
        return ProxyHeader(None, size_bytes)
    packed = bytes(data[PREFIX.size : PREFIX.size + address_bytes])
    # As text, so that a v4-mapped address becomes the v4 address that rules are written in.
    return ProxyHeader(parse_address(str(ip_address(packed))), size_bytes)
