"""What an upstream's reply leads to, read from bytes: aliases, addresses, and where OPT is.

Records of other kinds are stepped over, and stay as they are when the reply is passed
on. Never raises, whatever the bytes (RFC 1035 4).
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from enforcer.dns.wire import AAAA, CNAME, DNAME, HEADER, OPT, RECORD, A
from enforcer.policy.model import Address
from enforcer.policy.names import MAX_LABEL_BYTES, MAX_WIRE_BYTES, fold_wire

# A reply with more than this is no answer that anybody uses.
MAX_RECORDS: Final = 4096
_POINTER: Final = 0xC0  # RFC 1035 4.1.4
_V4_BYTES, _V6_BYTES = 4, 16


class Answer(NamedTuple):
    """What a reply leads to. ``aliases`` are folded wire names of CNAME and DNAME targets."""

    aliases: tuple[bytes, ...]
    addresses: tuple[Address, ...]
    opt_at: int | None


class _UnreadableError(Exception):
    """Leaves this module only as None."""


class _Record(NamedTuple):
    owner_at: int
    kind: int
    data_at: int
    end: int


def parse_answer(reply: bytes) -> Answer | None:
    """What a reply leads to; None when it cannot be read to its end."""
    try:
        return _parse(reply)
    except _UnreadableError:
        return None


def _parse(reply: bytes) -> Answer:
    if len(reply) < HEADER.size:
        raise _UnreadableError
    _, _, questions, answers, authorities, additionals = HEADER.unpack_from(reply)
    if questions + answers + authorities + additionals > MAX_RECORDS:
        raise _UnreadableError
    at = HEADER.size
    for _ in range(questions):
        at = _skip_name(reply, at) + 4
    aliases: list[bytes] = []
    addresses: list[Address] = []
    opt_at = None
    for index, record in enumerate(_records(reply, at, answers + authorities + additionals)):
        if index < answers:
            _read_record(reply, record, aliases, addresses)
        elif record.kind == OPT and index >= answers + authorities:
            opt_at = record.owner_at
    return Answer(tuple(aliases), tuple(addresses), opt_at)


def _records(reply: bytes, at: int, count: int) -> Iterator[_Record]:
    for _ in range(count):
        owner_at, at = at, _skip_name(reply, at)
        data_at = at + RECORD.size
        if data_at > len(reply):
            raise _UnreadableError
        kind, _, _, length = RECORD.unpack_from(reply, at)
        at = data_at + length
        if at > len(reply):
            raise _UnreadableError
        yield _Record(owner_at, kind, data_at, at)


def _read_record(
    reply: bytes, record: _Record, aliases: list[bytes], addresses: list[Address]
) -> None:
    data = reply[record.data_at : record.end]
    if record.kind == A and len(data) == _V4_BYTES:
        addresses.append(IPv4Address(data))
    elif record.kind == AAAA and len(data) == _V6_BYTES:
        addresses.append(IPv6Address(data))
    elif record.kind in (CNAME, DNAME):
        aliases.append(_read_name(reply, record.data_at))


def _skip_name(data: bytes, at: int) -> int:
    """Where the name at ``at`` ends."""
    while at < len(data):
        length = data[at]
        if not length:
            return at + 1
        if length >= _POINTER:
            return at + 2
        if length > MAX_LABEL_BYTES:
            break
        at += 1 + length
    raise _UnreadableError


def _read_name(data: bytes, at: int) -> bytes:
    """Folded wire form of a name that may be compressed (RFC 1035 4.1.4).

    A pointer must lead to before the labels that it follows, so none leads in a circle.
    """
    name = bytearray()
    segment_at = at
    while at < len(data) and len(name) <= MAX_WIRE_BYTES:
        length = data[at]
        if length >= _POINTER:
            at = (length & ~_POINTER) << 8 | int.from_bytes(data[at + 1 : at + 2], "big")
            if at >= segment_at:
                break
            segment_at = at
        elif length > MAX_LABEL_BYTES:
            break
        else:
            end = at + 1 + length
            name += data[at:end]
            if not length:
                return fold_wire(bytes(name))
            at = end
    raise _UnreadableError
