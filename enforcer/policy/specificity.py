"""How specific a rule is for a request, as one key: the precedence that decide states.

decide takes the rule with the greatest key; ties refuses rules that could have the same.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from enforcer.policy.addresses import longest_prefix, prefix_bits
from enforcer.policy.model import Action, Match, Plane, PortRange, Request, Rule
from enforcer.policy.pattern import literal_labels
from enforcer.policy.query_type import ANY

EXACT, PATTERN, SUFFIX = 3, 2, 1
_PORTS = 65536


class NameFit(NamedTuple):
    """How closely a rule names the name: more literal labels first, then the kind."""

    labels: int
    kind: int


ANY_NAME = NameFit(0, 0)


class Specificity(NamedTuple):
    """The precedence of one rule for one request; the greater wins.

    RPZ's order of triggers: client, name, answer address, name server's name, name
    server's address; then the narrower facts. ``rank`` is 0 for a rule that is written,
    and below that for lists and zones, the first of them first. ``own`` is last: between
    equals, the policy's own rule beats a pack's.
    """

    client: int
    name: NameFit
    address: int
    nsdname: int
    nsip: int
    qtype: int
    window: int
    port: int
    protocol: int
    plane: int
    rank: int
    own: bool


def plain_specificity(rule: Rule, name: NameFit, rank: int = 0) -> Specificity | None:
    """That of a rule with nothing but a name part, the same for every request; else None."""
    match = rule.match
    parts = (
        *(match.clients, match.addresses, match.nsdnames, match.nsips, match.qtypes),
        *(match.windows, match.ports, match.protocols, rule.planes),
    )
    if any(parts):
        return None
    return Specificity(0, name, 0, 0, 0, 0, 0, 0, 0, 0, -rank, not rule.from_pack)


def specificity(rule: Rule, name: NameFit, request: Request, rank: int = 0) -> Specificity | None:
    """How specifically a rule, whose name part fits, matches; None when it does not.

    A fact that is not known yet (None) counts as fitting a rule that lets through and as
    not fitting a block: the plane asks again when it knows more, and until then a lookup
    must not fail for the sake of a port. A client that is not known fits no client range,
    and planes other than DNS never learn what a lookup would have told them.
    """
    match = rule.match
    lets_through = rule.action is not Action.BLOCK
    client = 0
    if rule.planes and request.plane not in rule.planes:
        return None
    if match.windows and not any(window.holds(request.time_s) for window in match.windows):
        return None
    if match.clients:
        client = _measure(request.client, match.clients, longest_prefix, None)
        if not client:
            return None
    connection = _of_connection(match, request, lenient=lets_through)
    lookup = _of_lookup(match, request, lets_through=lets_through)
    if connection is None or lookup is None:
        return None
    address, port, protocol = connection
    nsdname, nsip, qtype = lookup
    return Specificity(
        *(client, name, address, nsdname, nsip, qtype),
        *(int(bool(match.windows)), port, protocol, int(bool(rule.planes))),
        *(-rank, not rule.from_pack),
    )


_NOTHING = (0, 0, 0)


def _of_connection(match: Match, request: Request, *, lenient: bool) -> tuple[int, int, int] | None:
    """The parts about where a connection goes, and what is spoken on it."""
    if not (match.addresses or match.ports or match.protocols):
        return _NOTHING
    address = port = protocol = 0
    if match.addresses:
        unknown = prefix_bits if lenient else None
        address = _measure(request.address, match.addresses, longest_prefix, unknown)
        if not address:
            return None
    if match.ports:
        port = _measure(request.port, match.ports, _narrowest, narrowness if lenient else None)
        if not port:
            return None
    if match.protocols:
        protocol = _measure(request.protocol, match.protocols, _among, _one if lenient else None)
        if not protocol:
            return None
    return address, port, protocol


def _of_lookup(
    match: Match, request: Request, *, lets_through: bool
) -> tuple[int, int, int] | None:
    """The parts about facts of a lookup: name servers, their addresses, the query type."""
    if not (match.nsdnames or match.nsips or match.qtypes):
        return _NOTHING
    lenient = lets_through and request.plane is Plane.DNS
    nsdname = nsip = qtype = 0
    if match.nsdnames:
        unknown = count_labels if lenient else None
        nsdname = _measure(request.nsdnames, match.nsdnames, _longest_suffix, unknown)
        if not nsdname:
            return None
    if match.nsips:
        unknown_ip = prefix_bits if lenient else None
        nsip = _measure(request.nsips, match.nsips, _longest_of_all, unknown_ip)
        if not nsip:
            return None
    if match.qtypes:
        # An answer to ANY has records of each type.
        if request.qtype == ANY and not lets_through:
            qtype = 1
        else:
            qtype = _measure(request.qtype, match.qtypes, _among, _one if lenient else None)
        if not qtype:
            return None
    return nsdname, nsip, qtype


def _measure(
    fact: object,
    wanted: tuple[Any, ...],
    measure: Callable[[Any, Any], int],
    measure_unknown: Callable[[Any], int] | None,
) -> int:
    """How closely a fact fits what a rule wants; 0 when it does not."""
    if fact is None:
        return max(map(measure_unknown, wanted)) if measure_unknown else 0
    return measure(fact, wanted)


def _narrowest(port: int, ranges: tuple[PortRange, ...]) -> int:
    return max((narrowness(r) for r in ranges if r.first <= port <= r.last), default=0)


def _longest_suffix(names: tuple[str, ...], suffixes: tuple[str, ...]) -> int:
    ends = tuple(f".{name}" for name in names)
    return max(
        (
            count_labels(suffix)
            for suffix in suffixes
            if any(end.endswith(f".{suffix}") for end in ends)
        ),
        default=0,
    )


def _longest_of_all(addresses: tuple[Any, ...], networks: tuple[Any, ...]) -> int:
    return max((longest_prefix(address, networks) for address in addresses), default=0)


def _among(fact: object, wanted: tuple[object, ...]) -> int:
    return int(fact in wanted)


def _one(_: object) -> int:
    return 1


def narrowness(ports: PortRange) -> int:
    return _PORTS - (ports.last - ports.first)


def count_labels(name: str) -> int:
    return name.count(".") + 1


def exact_fit(name: str) -> NameFit:
    return NameFit(count_labels(name), EXACT)


def suffix_fit(suffix: str) -> NameFit:
    return NameFit(count_labels(suffix), SUFFIX)


def pattern_fit(pattern: str) -> NameFit:
    return NameFit(literal_labels(pattern), PATTERN)
