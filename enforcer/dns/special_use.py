"""Names that are answered here and never leak to an upstream.

Special-use names (RFC 6761, 7686, 8375, 9462, 9476) and the locally served zones of IANA's
registry (RFC 6303, 7793). Pure. Not asked for a name that the settings have upstreams of
its own for. ``local`` (RFC 6762) is not among them: companies have domains there.
"""

import struct
from collections.abc import Callable
from typing import Final

from enforcer.dns.packets.records import NS, SOA
from enforcer.dns.packets.response import LocalAnswer
from enforcer.dns.packets.wire import AAAA, ANY, A
from enforcer.policy.model import LocalRecord
from enforcer.policy.names import to_wire

TTL_S: Final = 10800  # RFC 6303 3
_PTR: Final = 12
_ROOT: Final = b"\0"
_LOCALHOST: Final = to_wire("localhost")
# RFC 6303 3; the numbers are serial, refresh, retry, expire, minimum.
_SOA_AFTER_MNAME: Final = to_wire("nobody.invalid") + struct.pack(
    "!5I", 1, 3600, 1200, 604800, TTL_S
)
# No such top-level domain will ever be in the root.
_NOWHERE: Final = (
    "alt",  # RFC 9476
    "invalid",  # RFC 6761 6.4
    "onion",  # RFC 7686
    "test",  # RFC 6761 6.2
)
_LOOPBACK: Final = {
    A: LocalRecord(A, TTL_S, b"\x7f\0\0\1"),
    AAAA: LocalRecord(AAAA, TTL_S, bytes(15) + b"\1"),
}
_ZEROES: Final = "0." * 31
# RFC 6303 4, RFC 7793, and names that mean this network only.
_EMPTY_ZONES: Final = (
    *("0.in-addr.arpa", "127.in-addr.arpa", "10.in-addr.arpa", "168.192.in-addr.arpa"),
    *(f"{number}.172.in-addr.arpa" for number in range(16, 32)),
    *(f"{number}.100.in-addr.arpa" for number in range(64, 128)),
    *("254.169.in-addr.arpa", "2.0.192.in-addr.arpa", "100.51.198.in-addr.arpa"),
    *("113.0.203.in-addr.arpa", "255.255.255.255.in-addr.arpa"),
    *(f"0.{_ZEROES}ip6.arpa", f"1.{_ZEROES}ip6.arpa", "d.f.ip6.arpa"),
    *(f"{digit}.e.f.ip6.arpa" for digit in "89ab"),
    "8.b.d.0.1.0.0.2.ip6.arpa",
    "home.arpa",  # RFC 8375
)
_LOOPBACK_REVERSED: Final = {
    to_wire("1.0.0.127.in-addr.arpa"),
    to_wire(f"1.{_ZEROES}ip6.arpa"),
}
# RFC 9462 6.4: this resolver's own encrypted entrances, of which it tells none.
_RESOLVER: Final = "resolver.arpa"


def _soa(zone: bytes) -> LocalRecord:
    return LocalRecord(SOA, TTL_S, zone + _SOA_AFTER_MNAME)


_ZONES: Final = {
    **{to_wire(name): _soa(_ROOT) for name in _NOWHERE},
    **{zone: _soa(zone) for zone in map(to_wire, ("localhost", _RESOLVER, *_EMPTY_ZONES))},
}
_SIZES: Final = frozenset(map(len, _ZONES))
_RESOLVER_ZONE: Final = to_wire(_RESOLVER)
_NOWHERE_ZONES: Final = frozenset(map(to_wire, _NOWHERE))
_TOP_LEVEL: Final = tuple(map(to_wire, ("arpa", "localhost", *_NOWHERE)))


def answer_special(name: bytes, qtype: int) -> LocalAnswer | None:
    """What is answered for a folded wire name; None for a name like any other."""
    # All but a few names end here.
    if not name.endswith(_TOP_LEVEL):
        return None
    zone = _find_zone(name)
    if zone is None:
        return None
    soa = _ZONES[zone]
    if zone in _NOWHERE_ZONES:
        return LocalAnswer(nxdomain=True, records=(), zone=_ROOT, soa=soa)
    records = _records(name, qtype, zone, soa)
    exists = bool(records) or name in _LOOPBACK_REVERSED
    exists = exists or name == zone or zone in (_LOCALHOST, _RESOLVER_ZONE)
    return LocalAnswer(nxdomain=not exists, records=records, zone=zone, soa=soa)


def answer_unless_routed(
    name: bytes, qtype: int, is_routed: Callable[[bytes], bool]
) -> LocalAnswer | None:
    """The same, but None for a name that ``is_routed`` knows a way for, too."""
    local = answer_special(name, qtype)
    return None if local is None or is_routed(name) else local


def _find_zone(name: bytes) -> bytes | None:
    at, size = 0, len(name)
    while length := name[at]:
        if size - at in _SIZES and name[at:] in _ZONES:
            return name[at:]
        at += 1 + length
    return None


def _records(name: bytes, qtype: int, zone: bytes, soa: LocalRecord) -> tuple[LocalRecord, ...]:
    """Of the type that was asked for, or for ANY all there are."""
    found: list[LocalRecord] = []
    if name == zone:
        found += (soa, LocalRecord(NS, TTL_S, zone))
    if zone == _LOCALHOST:
        # RFC 6761 6.3: names below it, too.
        found += _LOOPBACK.values()
    elif name in _LOOPBACK_REVERSED:
        found.append(LocalRecord(_PTR, TTL_S, _LOCALHOST))
    return tuple(record for record in found if qtype in (record.rtype, ANY))
