"""What an upstream's reply leads to, and how long it may be kept, read from bytes.

Aliases, addresses and services are what the policy is asked about; places are offsets
into the reply, for whoever changes it. Never raises, whatever the bytes (RFC 1035 4).
"""

from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from enforcer.dns.records import (
    HTTPS,
    MAX_RECORDS,
    POINTER,
    SOA,
    SVCB,
    UNREADABLE,
    UnreadableError,
    read_name,
    skip_name,
)
from enforcer.dns.wire import AAAA, ANY, CNAME, DNAME, HEADER, OPT, RCODE, RECORD, A
from enforcer.policy.model import Address

# SvcParamKeys, RFC 9460 14.3.2.
MANDATORY, IPV4HINT, ECH, IPV6HINT = 0, 4, 5, 6
_V4_BYTES, _V6_BYTES = 4, 16
_MINIMUM_BYTES: Final = 4  # SOA's last field
_NXDOMAIN: Final = 3
_NO_TTL: Final = 1 << 31  # above what a TTL can be (RFC 2181 8)


class Service(NamedTuple):
    """A HTTPS or SVCB record (RFC 9460), whatever section it is in.

    ``hints`` are the addresses of ipv4hint and ipv6hint; ``ech`` says that it has one.
    """

    owner_at: int
    data_at: int
    params_at: int
    end: int
    ech: bool
    hints: tuple[Address, ...]


class Answer(NamedTuple):
    """What a reply leads to.

    ``aliases`` are folded wire names that CNAME, DNAME, HTTPS and SVCB name as targets, in
    the reply's order; ``addresses`` are those of A and AAAA in the answer section.
    ``opt_at`` is where OPT stands, ``ttl_at`` where each TTL but OPT's does.
    ``ttl_s`` is how long the whole reply is good for: its smallest TTL, for a negative
    answer that of RFC 2308 5, and None where nothing says so.
    ``negative`` means that there is no record of the type that was asked for.
    """

    aliases: tuple[bytes, ...]
    addresses: tuple[Address, ...]
    opt_at: int | None
    ttl_at: tuple[int, ...] = ()
    ttl_s: int | None = None
    negative: bool = False
    services: tuple[Service, ...] = ()


class _Found:
    """What the records so far lead to."""

    __slots__ = ("addresses", "aliases", "services")

    def __init__(self) -> None:
        self.aliases: list[bytes] = []
        self.addresses: list[Address] = []
        self.services: list[Service] = []


def parse_answer(reply: bytes) -> Answer | None:
    """What a reply leads to; None when it cannot be read to its end."""
    try:
        return _parse(reply)
    except UNREADABLE:
        return None


def _parse(reply: bytes) -> Answer:
    _, flags, questions, answers, authorities, additionals = HEADER.unpack_from(reply)
    additional = answers + authorities
    total = additional + additionals
    at, size = _skip_questions(reply, questions), len(reply)
    if total > MAX_RECORDS or at > size:
        raise UnreadableError
    qtype = reply[at - 4] << 8 | reply[at - 3] if questions else 0
    found = _Found()
    ttl_at: list[int] = []
    smallest_s, minimum_s, opt_at, answered = _NO_TTL, None, None, False
    for index in range(total):
        owner_at = at
        # Most owners are a pointer to the question.
        at = at + 2 if reply[at] >= POINTER else skip_name(reply, at)
        kind, _, ttl_s, length = RECORD.unpack_from(reply, at)
        data_at = at + RECORD.size
        end = data_at + length
        if end > size:
            raise UnreadableError
        if kind == OPT:
            # RFC 6891 6.1.1: one, and in the additional section.
            if index < additional or opt_at is not None:
                raise UnreadableError
            opt_at = owner_at
        else:
            ttl_at.append(at + 4)
            # RFC 2181 8: a TTL with its first bit set is zero.
            smallest_s = min(smallest_s, ttl_s if ttl_s < _NO_TTL else 0)
            if index < answers:
                answered = answered or qtype in (kind, ANY)
                _read_record(reply, kind, owner_at, data_at, end, found)
            elif kind in (HTTPS, SVCB):
                found.services.append(_read_service(reply, owner_at, data_at, end))
            elif kind == SOA and index < additional and length >= _MINIMUM_BYTES:
                minimum_s = int.from_bytes(reply[end - _MINIMUM_BYTES : end], "big")
        at = end
    negative = not answered or flags & RCODE == _NXDOMAIN
    return Answer(
        tuple(found.aliases),
        tuple(found.addresses),
        opt_at,
        tuple(ttl_at),
        _keep_s(smallest_s, minimum_s) if negative else smallest_s,
        negative,
        tuple(found.services),
    )


def _skip_questions(reply: bytes, count: int) -> int:
    at = HEADER.size
    for _ in range(count):
        at = skip_name(reply, at) + 4
    return at


def _keep_s(smallest_s: int, minimum_s: int | None) -> int | None:
    """RFC 2308 5: SOA's TTL or its MINIMUM, the lesser; without SOA it is not to be kept."""
    return None if minimum_s is None else min(smallest_s, minimum_s)


def _read_record(
    reply: bytes, kind: int, owner_at: int, data_at: int, end: int, found: _Found
) -> None:
    """A record of the answer section."""
    if kind == A:
        if end - data_at == _V4_BYTES:
            found.addresses.append(IPv4Address(reply[data_at:end]))
    elif kind == AAAA:
        if end - data_at == _V6_BYTES:
            found.addresses.append(IPv6Address(reply[data_at:end]))
    elif kind in (CNAME, DNAME):
        found.aliases.append(read_name(reply, data_at))
    elif kind in (HTTPS, SVCB):
        found.services.append(_read_service(reply, owner_at, data_at, end))
        target = read_name(reply, data_at + 2)
        # RFC 9460 2.5: "." is the owner itself, or nothing.
        if target != b"\0":
            found.aliases.append(target)


def _read_service(reply: bytes, owner_at: int, data_at: int, end: int) -> Service:
    """RFC 9460 2.2. What is malformed there is not readable: a client may take it otherwise."""
    params_at = skip_name(reply, data_at + 2)
    hints: list[Address] = []
    ech = False
    for key, start, stop in walk_params(reply, params_at, end):
        if key == ECH:
            ech = True
        elif key == IPV4HINT:
            hints += map(IPv4Address, _split(reply[start:stop], _V4_BYTES))
        elif key == IPV6HINT:
            hints += map(IPv6Address, _split(reply[start:stop], _V6_BYTES))
    return Service(owner_at, data_at, params_at, end, ech, tuple(hints))


def walk_params(data: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """Key of each SvcParam, where its value starts and where it ends. Raises UnreadableError."""
    params = []
    while at < end:
        start = at + 4
        stop = start + int.from_bytes(data[at + 2 : start], "big")
        if stop > end:
            raise UnreadableError
        params.append((int.from_bytes(data[at : at + 2], "big"), start, stop))
        at = stop
    if at != end:
        raise UnreadableError
    return params


def _split(packed: bytes, size: int) -> list[bytes]:
    if len(packed) % size:
        raise UnreadableError
    return [packed[at : at + size] for at in range(0, len(packed), size)]
