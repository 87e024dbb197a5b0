"""A query's header and question read from bytes (RFC 1035 4), for the fast road.

``parse_query`` takes the queries that nearly all clients send, and says None for
everything unusual, which ``message`` then reads with dnslib. It never raises, whatever
the bytes.
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
_OPT_BYTES: Final = 1 + RECORD.size


class Edns(NamedTuple):
    """What a client's OPT says (RFC 6891 6.1): how much it takes over UDP, in bytes, and DO."""

    size_bytes: int
    do: bool


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
    if size < HEADER.size:
        return None
    ident, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    if flags & ~(RD | AD | CD) or questions != 1 or answers or authorities or additionals > 1:
        return None
    at = HEADER.size
    while at < size and (length := packet[at]):
        if length > MAX_LABEL_BYTES:
            return None
        at += 1 + length
    end = at + 5
    if end > size or at + 1 - HEADER.size > MAX_WIRE_BYTES:
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
    name = fold_wire(packet[HEADER.size : at + 1])
    return Query(ident, flags, name, qtype, packet[HEADER.size : end], edns)


def is_data_type(qtype: int) -> bool:
    return qtype == ANY or (0 < qtype < FIRST_META_TYPE and qtype != OPT) or qtype > ANY


def _parse_edns(packet: bytes, at: int) -> Edns | None:
    """OPT of version 0 that ends the packet; its options are not for us."""
    if at + _OPT_BYTES > len(packet) or packet[at]:
        return None
    kind, size_bytes, extended, length = RECORD.unpack_from(packet, at + 1)
    if kind != OPT or extended & 0xFFFF0000 or at + _OPT_BYTES + length != len(packet):
        return None
    return Edns(size_bytes, bool(extended & EDNS_DO))
