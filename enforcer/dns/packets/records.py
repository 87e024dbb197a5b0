"""Names and records of a message, read from bytes (RFC 1035 4.1).

For whoever reads replies: ``answer`` for what they lead to, ``cut`` and ``svcb`` for
what must be taken out of them, ``delegation`` for name servers.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from enforcer.dns.packets.wire import HEADER, RECORD
from enforcer.policy.names import MAX_LABEL_BYTES, MAX_WIRE_BYTES, fold_wire

# A reply with more than this is no answer that anybody uses.
MAX_RECORDS: Final = 4096
NS, SOA, SVCB, HTTPS, RRSIG = 2, 6, 64, 65, 46
POINTER: Final = 0xC0  # RFC 1035 4.1.4


class UnreadableError(Exception):
    """Raised and caught within ``enforcer.dns``: parsers say None instead."""


# All that reading past the end of a message raises, too.
UNREADABLE: Final = (UnreadableError, IndexError, struct.error)


class Record(NamedTuple):
    """Where a record stands: its owner, its type field, its data and its end.

    ``section`` is 1 for answer, 2 for authority, 3 for additional.
    """

    section: int
    owner_at: int
    kind_at: int
    kind: int
    ttl_s: int
    data_at: int
    end: int


def walk_records(reply: bytes) -> Iterator[Record]:
    """Every record, in order. Raises one of UNREADABLE where it cannot go on."""
    _, _, questions, *counts = HEADER.unpack_from(reply)
    if sum(counts) > MAX_RECORDS:
        raise UnreadableError
    at = HEADER.size
    for _ in range(questions):
        at = skip_name(reply, at) + 4
    for section, count in enumerate(counts, start=1):
        for _ in range(count):
            owner_at, at = at, skip_name(reply, at)
            kind_at, data_at = at, at + RECORD.size
            kind, _, ttl_s, length = RECORD.unpack_from(reply, at)
            at = data_at + length
            if at > len(reply):
                raise UnreadableError
            yield Record(section, owner_at, kind_at, kind, ttl_s, data_at, at)


def skip_name(data: bytes, at: int) -> int:
    """Where the name at ``at`` ends. Raises one of UNREADABLE."""
    while length := data[at]:
        if length >= POINTER:
            return at + 2
        if length > MAX_LABEL_BYTES:
            raise UnreadableError
        at += 1 + length
    return at + 1


def read_name(data: bytes, at: int, *, folded: bool = True) -> bytes:
    """Wire form of a name that may be compressed. Raises one of UNREADABLE.

    A pointer must lead to before the labels that it follows, so none leads in a circle.
    """
    name = b""
    segment_at = at
    while True:
        start = at
        while 0 < (length := data[at]) <= MAX_LABEL_BYTES:
            at += 1 + length
        if not length:
            name += data[start : at + 1]
            if len(name) > MAX_WIRE_BYTES:
                raise UnreadableError
            return fold_wire(name) if folded else name
        if length < POINTER:
            raise UnreadableError
        name += data[start:at]
        at = (length & ~POINTER) << 8 | data[at + 1]
        if at >= segment_at or len(name) > MAX_WIRE_BYTES:
            raise UnreadableError
        segment_at = at
