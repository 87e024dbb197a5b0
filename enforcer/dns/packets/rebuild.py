"""A reply written anew without some of its records, or with other data in them.

Taking bytes out of a message moves what compression points to, so every name that may
be compressed is written in full, owners that were written before excepted. Used where
something must go: rarely, so that it need not be quick.
"""

from collections.abc import Mapping
from typing import Final

from enforcer.dns.packets.records import (
    NS,
    POINTER,
    SOA,
    UNREADABLE,
    Record,
    UnreadableError,
    read_name,
    skip_name,
    walk_records,
)
from enforcer.dns.packets.wire import CNAME, DNAME, HEADER
from enforcer.policy.names import fold_wire

_MAX_MESSAGE_BYTES: Final = 0xFFFF
_ADDITIONAL: Final = 3
_ROOT: Final = b"\0"  # shorter than a pointer, and what OPT's owner must be (RFC 6891 6.1.2)
_MAX_POINTER: Final = 0x3FFF  # RFC 1035 4.1.4: 14 bits
# How many bytes stand before the names in a type's data, and how many names there are.
# These may be compressed (RFC 3597 4); a type that is not here must not be.
_NAMES_IN_DATA: Final = {
    NS: (0, 1),
    3: (0, 1),  # MD
    4: (0, 1),  # MF
    CNAME: (0, 1),
    SOA: (0, 2),
    7: (0, 1),  # MB
    8: (0, 1),  # MG
    9: (0, 1),  # MR
    12: (0, 1),  # PTR
    14: (0, 2),  # MINFO
    15: (2, 1),  # MX
    17: (0, 2),  # RP
    18: (2, 1),  # AFSDB
    21: (2, 1),  # RT
    24: (18, 1),  # SIG
    26: (2, 2),  # PX
    30: (0, 1),  # NXT
    33: (6, 1),  # SRV
    36: (2, 1),  # KX
    DNAME: (0, 1),
}


def without_additional(reply: bytes) -> bytes | None:
    """The reply without what a server added to it; None for one that cannot be read.

    It stands at the end, and nothing before it points into it (RFC 1035 4.1.4).
    """
    if reply[10:12] == b"\0\0":
        return reply
    try:
        starts = [
            record.owner_at for record in walk_records(reply) if record.section == _ADDITIONAL
        ]
    except UNREADABLE:
        return None
    return reply[:10] + b"\0\0" + reply[HEADER.size : min(starts, default=len(reply))]


def rebuild(reply: bytes, changes: Mapping[int, bytes | None]) -> bytes | None:
    """The reply with other data in some records, by where their owners stand.

    None as data drops the record. None comes out when the reply cannot be read, or
    would be longer than a message can be.
    """
    try:
        return _rebuild(reply, changes)
    except UNREADABLE:
        return None


def _rebuild(reply: bytes, changes: Mapping[int, bytes | None]) -> bytes | None:
    ident, flags, questions, *counts = HEADER.unpack_from(reply)
    at = HEADER.size
    written: dict[bytes, int] = {}
    for _ in range(questions):
        written.setdefault(read_name(reply, at), at)
        at = skip_name(reply, at) + 4
    built = bytearray(reply[:at])
    for record in walk_records(reply):
        data = changes[record.owner_at] if record.owner_at in changes else _in_full(reply, record)
        if data is None:
            counts[record.section - 1] -= 1
            continue
        owner = read_name(reply, record.owner_at, folded=False)
        folded = fold_wire(owner)
        if folded in written and owner != _ROOT:
            built += (POINTER << 8 | written[folded]).to_bytes(2, "big")
        else:
            if len(built) <= _MAX_POINTER:
                written[folded] = len(built)
            built += owner
        built += reply[record.kind_at : record.kind_at + 8]  # type, class, TTL
        built += len(data).to_bytes(2, "big") + data
        if len(built) > _MAX_MESSAGE_BYTES:
            return None
    HEADER.pack_into(built, 0, ident, flags, questions, *counts)
    return bytes(built)


def _in_full(reply: bytes, record: Record) -> bytes:
    """A record's data, with no name in it compressed."""
    before, names = _NAMES_IN_DATA.get(record.kind, (0, 0))
    at = record.data_at + before
    data = reply[record.data_at : at]
    for _ in range(names):
        data += read_name(reply, at, folded=False)
        at = skip_name(reply, at)
    if at > record.end:
        raise UnreadableError
    return data + reply[at : record.end]
