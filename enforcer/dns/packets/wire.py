"""A query's header and question read from bytes (RFC 1035 4), for the fast road.

``parse_query`` takes the queries that nearly all clients send, and says None for
everything unusual, which ``message`` then reads. It never raises, whatever the bytes.
"""

import struct
from typing import Final, NamedTuple

from enforcer.policy.names import MAX_LABEL_BYTES, MAX_WIRE_BYTES, fold_wire

HEADER: Final = struct.Struct("!6H")
QR, OPCODE, TC, RD, RA, AD, CD, RCODE = 0x8000, 0x7800, 0x0200, 0x0100, 0x0080, 0x20, 0x10, 0xF
IN: Final = 1
A, CNAME, AAAA, DNAME, OPT, ANY = 1, 5, 28, 39, 41, 255
# RFC 6895 3.1: OPT, and 128 to 254 (transfers, TKEY, TSIG), ask for something else than data.
FIRST_META_TYPE: Final = 128
EDNS_DO: Final = 0x8000
RECORD: Final = struct.Struct("!HHIH")  # type, class, TTL, length: what follows the owner
_HEADER_BYTES: Final = HEADER.size
_OPT_BYTES: Final = 1 + RECORD.size
_UNUSUAL_FLAGS: Final = 0xFFFF & ~(RD | AD | CD)

COOKIE_OPTION: Final = 10  # RFC 7873 4
CLIENT_SUBNET_OPTION: Final = 8  # RFC 7871 6
_OPTION_HEAD_BYTES: Final = 4
_CLIENT_COOKIE_BYTES: Final = 8
_WHOLE_COOKIE_BYTES: Final = range(16, 41)  # client and server cookie


class Edns(NamedTuple):
    """What a client's OPT says (RFC 6891 6.1): how much it takes over UDP, in bytes, and DO.

    And the data of two options, empty where they were not sent. In an answer ``cookie`` is
    what goes back: the client's with ours behind it.
    """

    size_bytes: int
    do: bool
    cookie: bytes = b""
    client_subnet: bytes = b""


class Query(NamedTuple):
    """One question of class IN.

    ``name`` is folded wire form; ``question`` is the whole section as the client wrote it.
    """

    id: int
    flags: int
    name: bytes
    qtype: int
    question: bytes
    edns: Edns | None


def parse_query(packet: bytes) -> Query | None:
    """A query as nearly all are: one question, no record but OPT. None for all others."""
    size = len(packet)
    if size < _HEADER_BYTES:
        return None
    ident, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    if flags & _UNUSUAL_FLAGS or questions != 1 or answers or authorities or additionals > 1:
        return None
    at = _HEADER_BYTES
    while at < size and (length := packet[at]):
        if length > MAX_LABEL_BYTES:
            return None
        at += 1 + length
    end = at + 5
    if end > size or at >= _HEADER_BYTES + MAX_WIRE_BYTES:
        return None
    qtype = packet[at + 1] << 8 | packet[at + 2]
    if packet[at + 3] or packet[at + 4] != IN or not is_data_type(qtype):
        return None
    edns = None
    if additionals:
        edns = _parse_edns(packet, end)
        if edns is None:
            return None
    elif end != size:
        return None
    name = fold_wire(packet[_HEADER_BYTES : at + 1])
    return Query(ident, flags, name, qtype, packet[_HEADER_BYTES:end], edns)


def is_data_type(qtype: int) -> bool:
    return (0 < qtype < FIRST_META_TYPE and qtype != OPT) or qtype >= ANY


def is_cookie(data: bytes) -> bool:
    """Whether an option's data has a cookie's length (RFC 7873 4)."""
    return len(data) == _CLIENT_COOKIE_BYTES or len(data) in _WHOLE_COOKIE_BYTES


def _parse_edns(packet: bytes, at: int) -> Edns | None:
    """OPT of version 0 that ends the packet."""
    if at + _OPT_BYTES > len(packet) or packet[at]:
        return None
    kind, size_bytes, extended, length = RECORD.unpack_from(packet, at + 1)
    if kind != OPT or extended & 0xFFFF0000 or at + _OPT_BYTES + length != len(packet):
        return None
    do = bool(extended & EDNS_DO)
    return (
        _parse_options(packet, size_bytes, do, at + _OPT_BYTES) if length else Edns(size_bytes, do)
    )


def _parse_options(packet: bytes, size_bytes: int, do: bool, at: int) -> Edns | None:  # noqa: FBT001
    """The options that fill the rest of the packet; unknown ones mean nothing here."""
    cookie = client_subnet = b""
    size = len(packet)
    while at + _OPTION_HEAD_BYTES <= size:
        code = packet[at] << 8 | packet[at + 1]
        data_at = at + _OPTION_HEAD_BYTES
        at = data_at + (packet[at + 2] << 8 | packet[at + 3])
        if code == COOKIE_OPTION and not cookie:
            cookie = packet[data_at:at]
            if not is_cookie(cookie):
                return None
        elif code == CLIENT_SUBNET_OPTION and not client_subnet:
            client_subnet = packet[data_at:at]
    return Edns(size_bytes, do, cookie, client_subnet) if at == size else None
