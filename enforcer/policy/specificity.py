"""How specific a rule is for a request, as one key: the precedence that decide states.

decide takes the rule with the greatest key; ties refuses rules that could have the same.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from enforcer.policy.addresses import longest_prefix, prefix_bits
from enforcer.policy.model import Action, PortRange, Protocol, Request, Rule
from enforcer.policy.pattern import literal_labels

EXACT, PATTERN, SUFFIX = 3, 2, 1
_PORTS = 65536


class NameFit(NamedTuple):
    """How closely a rule names the name: more literal labels first, then the kind."""

    labels: int
    kind: int


ANY_NAME = NameFit(0, 0)


class Specificity(NamedTuple):
    """The precedence of one rule for one request; the greater wins.

    RPZ's order of triggers: the client first, then the name, then the address.
    ``own`` is last: between equals, the policy's own rule beats a pack's.
    """

    client: int
    name: NameFit
    address: int
    port: int
    protocol: int
    own: bool


def specificity(rule: Rule, name: NameFit, request: Request) -> Specificity | None:
    """How specifically a rule, whose name part fits, matches; None when it does not.

    A fact that is not known yet (None) counts as fitting a rule that lets through and as
    not fitting a block: the plane asks again when it knows more, and until then a lookup
    must not fail for the sake of a port. A client that is not known fits no client range.
    """
    match = rule.match
    lenient = rule.action is not Action.BLOCK
    client = address = port = protocol = 0
    if match.clients:
        client = _measure(request.client, match.clients, longest_prefix, None)
        if not client:
            return None
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
    return Specificity(client, name, address, port, protocol, not rule.from_pack)


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


def _among(protocol: Protocol, protocols: tuple[Protocol, ...]) -> int:
    return int(protocol in protocols)


def _one(_: Protocol) -> int:
    return 1


def narrowness(ports: PortRange) -> int:
    return _PORTS - (ports.last - ports.first)


def exact_fit(name: str) -> NameFit:
    return NameFit(name.count(".") + 1, EXACT)


def suffix_fit(suffix: str) -> NameFit:
    return NameFit(suffix.count(".") + 1, SUFFIX)


def pattern_fit(pattern: str) -> NameFit:
    return NameFit(literal_labels(pattern), PATTERN)
