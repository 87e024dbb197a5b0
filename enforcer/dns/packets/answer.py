"""What an upstream's reply leads to, and how long it may be kept, read from bytes.

Aliases, addresses and services are what the policy is asked about; places are offsets
into the reply, for whoever changes it. Never raises, whatever the bytes (RFC 1035 4).
"""

from functools import lru_cache
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from enforcer.dns.packets.records import (
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
from enforcer.dns.packets.wire import AAAA, ANY, CNAME, DNAME, HEADER, OPT, RCODE, RECORD, A
from enforcer.policy.addresses import unpack_address
from enforcer.policy.model import Address

# SvcParamKeys, RFC 9460 14.3.2.
MANDATORY, IPV4HINT, ECH, IPV6HINT = 0, 4, 5, 6
_V4_BYTES, _V6_BYTES = 4, 16
_RECORD_BYTES: Final = RECORD.size
_MINIMUM_BYTES: Final = 4  # SOA's last field
_NXDOMAIN: Final = 3
_NO_TTL: Final = 1 << 31  # above what a TTL can be (RFC 2181 8)
_SERVICES: Final = frozenset((HTTPS, SVCB))
# Beside the answer section: what a client may be told unasked, and how long "no" is good for.
_READ_BESIDE: Final = frozenset((SOA, HTTPS, SVCB))
# Many names lead to few addresses, and an object of each takes long to make.
_v4 = lru_cache(4096)(IPv4Address)


class Service(NamedTuple):
    """A HTTPS or SVCB record (RFC 9460), whatever section it is in.

    ``hints`` are the addresses of ipv4hint and ipv6hint, in the form that rules are written
    in; ``ech`` says that it has one.
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

    __slots__ = ("addresses", "aliases", "minimum_s", "services")

    def __init__(self) -> None:
        self.minimum_s: int | None = None
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
    at, size = HEADER.size, len(reply)
    for _ in range(questions):
        at = skip_name(reply, at) + 4
    if total > MAX_RECORDS or at > size:
        raise UnreadableError
    qtype = reply[at - 4] << 8 | reply[at - 3] if questions else 0
    found = _Found()
    addresses = found.addresses
    ttl_at: list[int] = []
    ttls_s: list[int] = []
    unpack, opt_at, answered = RECORD.unpack_from, None, False
    for index in range(total):
        owner_at = at
        # Most owners are a pointer to the question.
        at = at + 2 if reply[at] >= POINTER else skip_name(reply, at)
        kind, _, ttl_s, length = unpack(reply, at)
        data_at = at + _RECORD_BYTES
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
            ttls_s.append(ttl_s)
            if index >= answers:
                if kind in _READ_BESIDE:
                    _read_beside(reply, kind, owner_at, data_at, end, found, index < additional)
            else:
                answered = answered or qtype in (kind, ANY)
                if kind == A and length == _V4_BYTES:
                    addresses.append(_v4(reply[data_at:end]))
                else:
                    _read_record(reply, kind, owner_at, data_at, end, found)
        at = end
    smallest_s = _smallest(ttls_s)
    negative = not answered or flags & RCODE == _NXDOMAIN
    return Answer(
        tuple(found.aliases),
        tuple(addresses),
        opt_at,
        tuple(ttl_at),
        _keep_s(smallest_s, found.minimum_s) if negative else smallest_s,
        negative,
        tuple(found.services),
    )


def _smallest(ttls_s: list[int]) -> int:
    if ttls_s and max(ttls_s) >= _NO_TTL:
        # RFC 2181 8: a TTL with its first bit set is zero.
        return 0
    return min(ttls_s, default=_NO_TTL)


def _keep_s(smallest_s: int, minimum_s: int | None) -> int | None:
    """RFC 2308 5: SOA's TTL or its MINIMUM, the lesser; without SOA it is not to be kept."""
    return None if minimum_s is None else min(smallest_s, minimum_s)


def _read_record(
    reply: bytes, kind: int, owner_at: int, data_at: int, end: int, found: _Found
) -> None:
    """A record of the answer section that is no A."""
    if kind == AAAA:
        if end - data_at == _V6_BYTES:
            # A v4-mapped one is a v4 address by another name: clients reach the same host.
            found.addresses.append(unpack_address(reply[data_at:end]))
    elif kind in (CNAME, DNAME):
        found.aliases.append(read_name(reply, data_at))
    elif kind in _SERVICES:
        found.services.append(_read_service(reply, owner_at, data_at, end))
        target = read_name(reply, data_at + 2)
        # RFC 9460 2.5: "." is the owner itself, or nothing.
        if target != b"\0":
            found.aliases.append(target)


def _read_beside(
    reply: bytes,
    kind: int,
    owner_at: int,
    data_at: int,
    end: int,
    found: _Found,
    in_authority: bool,  # noqa: FBT001
) -> None:
    """One of _READ_BESIDE, of another section."""
    if kind in _SERVICES:
        found.services.append(_read_service(reply, owner_at, data_at, end))
    elif in_authority and end - data_at >= _MINIMUM_BYTES:
        found.minimum_s = int.from_bytes(reply[end - _MINIMUM_BYTES : end], "big")


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
            hints += map(unpack_address, _split(reply[start:stop], _V6_BYTES))
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
