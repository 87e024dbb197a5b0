"""Which name servers a name is delegated to, for NSDNAME and NSIP triggers.

Pure: it says what has to be asked, and is told what was answered. Through a resolver
that is at most this, each kept for as long as its answer says:

    NS of the name   its own servers, or SOA of the zone that it is in (RFC 2308 2)
    NS of the zone
    A and AAAA of each server, where addresses are wanted

``missing`` is asked until it says nothing; ``learn`` takes each reply; ``known`` has the
facts. Memory is bounded: what was learnt longest ago is forgotten first.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

from enforcer.dns.packets.answer import parse_answer
from enforcer.dns.packets.records import NS, SOA, UNREADABLE, Record, read_name, walk_records
from enforcer.dns.packets.wire import AAAA, HEADER, IN, RCODE, RD, A, Query
from enforcer.policy.model import Address
from enforcer.policy.names import from_wire

# A zone has two to thirteen; those of the first ones are enough to know it by.
MAX_SERVERS: Final = 13
MAX_ADDRESSES: Final = 32
# From a name to its zone, when each name on the way is an alias and so says nothing of it.
MAX_STEPS: Final = 8
MIN_KEPT_S: Final = 5  # what was asked for is there when it is looked at, whatever its TTL
MAX_KEPT_S: Final = 3600
# Not to be asked again at once, nor to be believed for long.
FAILED_KEPT_S: Final = 10
_ANSWER, _AUTHORITY = 1, 2
_NOERROR, _NXDOMAIN = 0, 3


class NsFacts(NamedTuple):
    """What a Request says of a name's zone; None for what cannot be known at present."""

    nsdnames: tuple[str, ...] | None
    nsips: tuple[Address, ...] | None


UNKNOWN: Final = NsFacts(None, None)


class _Zone(NamedTuple):
    """What is known of a name: the servers of a zone, or where its zone is to be looked for.

    ``apex`` is above the name then; without one there is nothing to be known.
    """

    until_s: float
    apex: bytes | None
    servers: tuple[bytes, ...] | None = None
    nsdnames: tuple[str, ...] | None = None
    failed: bool = False


_NO_ZONE: Final = _Zone(0.0, None)


class _Host(NamedTuple):
    until_s: float
    addresses: tuple[Address, ...]


class Delegations:
    """What was learnt, for at most ``max_names`` names, and as many name servers' addresses."""

    def __init__(self, max_names: int = 20_000) -> None:
        self._max_names = max_names
        self._zones: OrderedDict[bytes, _Zone] = OrderedDict()
        self._hosts: OrderedDict[tuple[bytes, int], _Host] = OrderedDict()

    def __len__(self) -> int:
        return len(self._zones) + len(self._hosts)

    def missing(self, name: bytes, now_s: float, *, want_ips: bool = False) -> tuple[Query, ...]:
        """What can be asked at this point, side by side. Empty when the facts are there.

        Asked again once these are learnt: names have two rounds (MAX_STEPS at most), addresses
        one more.
        """
        zone = self._find(name, now_s)
        if isinstance(zone, Query):
            return (zone,)
        return self._missing_hosts(zone, now_s) if want_ips else ()

    def known(self, name: bytes, now_s: float, *, want_ips: bool = False) -> NsFacts:
        """The facts as far as they are known, without a question: for ``delegation: async``."""
        zone = self._find(name, now_s)
        return UNKNOWN if isinstance(zone, Query) else self._known(zone, now_s, want_ips=want_ips)

    def _missing_hosts(self, zone: _Zone, now_s: float) -> tuple[Query, ...]:
        return tuple(
            _query(server, qtype)
            for server in zone.servers or ()
            for qtype in (A, AAAA)
            if self._host(server, qtype, now_s) is None
        )

    def _known(self, zone: _Zone, now_s: float, *, want_ips: bool) -> NsFacts:
        if not want_ips or not zone.servers:
            return NsFacts(zone.nsdnames, None)
        hosts = [self._host(server, qtype, now_s) for server in zone.servers for qtype in (A, AAAA)]
        if None in hosts:
            return NsFacts(zone.nsdnames, None)
        addresses = tuple(address for host in hosts if host for address in host.addresses)
        return NsFacts(zone.nsdnames, addresses[:MAX_ADDRESSES] or None)

    def has_failed(self, name: bytes, now_s: float) -> bool:
        """Whether it was asked who serves the name's zone, and nobody said."""
        for _ in range(MAX_STEPS):
            zone = self._zone(name, now_s)
            if zone is None or zone.apex is None:
                return zone is not None and zone.failed
            name = zone.apex
        return False

    def learn(self, query: Query, reply: bytes | None, now_s: float) -> None:
        """Take the reply to a query that came from here; None when no upstream answered."""
        try:
            self._learn(query, reply or b"", now_s)
        except UNREADABLE:
            self._fail(query, now_s)

    def _learn(self, query: Query, reply: bytes, now_s: float) -> None:
        _, flags, *_ = HEADER.unpack_from(reply)
        answer = parse_answer(reply)
        if answer is None or flags & RCODE not in (_NOERROR, _NXDOMAIN):
            self._fail(query, now_s)
        elif query.qtype == NS:
            self._keep_zone(query.name, _read_zone(query.name, reply, now_s))
        else:
            until_s = now_s + _kept_s(FAILED_KEPT_S if answer.ttl_s is None else answer.ttl_s)
            self._keep_host(query, _Host(until_s, answer.addresses[:MAX_ADDRESSES]))

    def _fail(self, query: Query, now_s: float) -> None:
        until_s = now_s + FAILED_KEPT_S
        if query.qtype == NS:
            self._keep_zone(query.name, _Zone(until_s, None, failed=True))
        else:
            self._keep_host(query, _Host(until_s, ()))

    def _find(self, name: bytes, now_s: float) -> _Zone | Query:
        """The name's zone, one without servers where there is none to be known, or a query."""
        for _ in range(MAX_STEPS):
            zone = self._zone(name, now_s)
            if zone is None:
                return _query(name, NS)
            if zone.apex is None:
                return zone
            # Always above the name, never itself.
            name = zone.apex
        return _NO_ZONE

    def _zone(self, name: bytes, now_s: float) -> _Zone | None:
        zone = self._zones.get(name)
        return zone if zone is not None and now_s < zone.until_s else None

    def _host(self, server: bytes, qtype: int, now_s: float) -> _Host | None:
        host = self._hosts.get((server, qtype))
        return host if host is not None and now_s < host.until_s else None

    def _keep_zone(self, name: bytes, zone: _Zone) -> None:
        self._zones[name] = zone
        self._zones.move_to_end(name)
        if len(self._zones) > self._max_names:
            self._zones.popitem(last=False)

    def _keep_host(self, query: Query, host: _Host) -> None:
        key = (query.name, query.qtype)
        self._hosts[key] = host
        self._hosts.move_to_end(key)
        if len(self._hosts) > self._max_names:
            self._hosts.popitem(last=False)


def _query(name: bytes, qtype: int) -> Query:
    question = name + qtype.to_bytes(2, "big") + IN.to_bytes(2, "big")
    return Query(0, RD, name, qtype, question, None)


def _kept_s(ttl_s: int) -> int:
    return min(max(ttl_s, MIN_KEPT_S), MAX_KEPT_S)


def _read_zone(name: bytes, reply: bytes, now_s: float) -> _Zone:
    """What a reply to NS of a name says of the zone that the name is in."""
    servers: list[bytes] = []
    apex, ttl_s = None, MAX_KEPT_S
    for record in walk_records(reply):
        owner = read_name(reply, record.owner_at)
        if record.section == _ANSWER and record.kind == NS and owner == name:
            servers.append(read_name(reply, record.data_at))
            ttl_s = min(ttl_s, record.ttl_s)
        elif record.section == _AUTHORITY and record.kind == SOA and _is_at_or_below(name, owner):
            apex = owner
            ttl_s = min(ttl_s, record.ttl_s, _minimum_s(reply, record))
    if servers:
        known = tuple(dict.fromkeys(servers))[:MAX_SERVERS]
        return _Zone(now_s + _kept_s(ttl_s), None, known, tuple(map(from_wire, known)))
    if apex is None:
        # An alias has no SOA of its own zone beside it, and is no zone itself.
        return _Zone(now_s + FAILED_KEPT_S, _parent(name) or None)
    # A zone that says of itself that it has no servers: nothing is known of it.
    return _Zone(now_s + _kept_s(ttl_s), None if apex == name else apex)


def _minimum_s(reply: bytes, record: Record) -> int:
    return int.from_bytes(reply[record.end - 4 : record.end], "big")


def _is_at_or_below(name: bytes, apex: bytes) -> bool:
    while name != apex:
        if name == b"\0":
            return False
        name = _parent(name)
    return True


def _parent(name: bytes) -> bytes:
    """The name without its first label, empty for the root."""
    return name[name[0] + 1 :]
