"""Policy to CompiledPolicy: indexes by name, ties between rules refused.

How specific a rule is for a request is decided here, in one key; decide takes the
rule with the greatest. Everything that can be known at load is made here, once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from re import Pattern
from typing import Any, NamedTuple

from enforcer.policy.addresses import longest_prefix, prefix_bits
from enforcer.policy.model import (
    Action,
    ConnectUrl,
    Match,
    Network,
    Policy,
    PortRange,
    Protocol,
    Request,
    Rule,
    Verdict,
)
from enforcer.policy.names import suffixes
from enforcer.policy.pattern import compile_pattern, literal_labels, overlap
from enforcer.policy.source import PolicyError, Problem

_EXACT, _PATTERN, _SUFFIX = 3, 2, 1
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


class PatternRule(NamedTuple):
    matches: Callable[[str], object]
    fit: NameFit
    rule: Rule


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A policy that planes ask; immutable, swapped whole on reload."""

    policy: Policy
    exact: dict[str, tuple[Rule, ...]]
    suffix: dict[str, tuple[tuple[NameFit, Rule], ...]]
    patterns: tuple[PatternRule, ...]
    nameless: tuple[Rule, ...]
    connect_urls: dict[str, tuple[ConnectUrl, ...]]
    hint: str
    # Names whose lookup is blocked for every client, in wire form: the DNS fast path.
    dns_blocked: Mapping[bytes, Verdict] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()

    def candidates(self, name: str) -> Iterator[tuple[NameFit, Rule]]:
        """Every rule whose name part fits, with how well it fits."""
        if name:
            exact = self.exact.get(name)
            if exact:
                fit = NameFit(name.count(".") + 1, _EXACT)
                for rule in exact:
                    yield fit, rule
            for pattern in self.patterns:
                if pattern.matches(name):
                    yield pattern.fit, pattern.rule
            for suffix in suffixes(name):
                yield from self.suffix.get(suffix, ())
        for rule in self.nameless:
            yield ANY_NAME, rule

    def connect_url(self, name: str, port: int | None) -> ConnectUrl | None:
        """The Connect URL that a name belongs to; any of the host's when the port is unknown."""
        for url in self.connect_urls.get(name, ()):
            if port is None or port == url.port:
                return url
        return None


def compile_policy(policy: Policy) -> CompiledPolicy:
    """Build the indexes. Raises PolicyError for ties, and for rules that cannot work."""
    rules = (*map(connect_url_rule, policy.connect_urls), *policy.rules)
    problems = [*_unusable(policy), *_ties(rules)]
    if problems:
        raise PolicyError(problems)
    exact: defaultdict[str, list[Rule]] = defaultdict(list)
    suffix: defaultdict[str, list[tuple[NameFit, Rule]]] = defaultdict(list)
    patterns: list[PatternRule] = []
    urls: defaultdict[str, list[ConnectUrl]] = defaultdict(list)
    for rule in rules:
        for name in dict.fromkeys(rule.match.names):
            exact[name].append(rule)
        for name in dict.fromkeys(rule.match.suffixes):
            suffix[name].append((_suffix_fit(name), rule))
        for pattern in dict.fromkeys(rule.match.patterns):
            matches = _whole(compile_pattern(pattern))
            patterns.append(PatternRule(matches, _pattern_fit(pattern), rule))
        if rule.connect_url:
            for name in dict.fromkeys(rule.match.names):
                urls[name].append(rule.connect_url)
    return CompiledPolicy(
        policy=policy,
        exact={name: tuple(found) for name, found in exact.items()},
        suffix={name: tuple(found) for name, found in suffix.items()},
        patterns=tuple(patterns),
        nameless=tuple(rule for rule in rules if not rule.match.has_name),
        connect_urls={name: tuple(found) for name, found in urls.items()},
        hint=" or ".join(map(str, policy.connect_urls)),
    )


def connect_url_rule(url: ConnectUrl) -> Rule:
    """A Connect URL as the rule that it is."""
    return Rule(
        id=f"connect-url:{url}",
        action=Action.ALLOW,
        match=Match(names=(url.host, *url.region_hosts), ports=(PortRange(url.port, url.port),)),
        reason=f"the company's Connect URL {url}",
        source=url.source,
        connect_url=url,
    )


def specificity(rule: Rule, name: NameFit, request: Request) -> Specificity | None:
    """How specifically a rule, whose name part fits, matches; None when it does not.

    A fact that is not known yet (None) counts as fitting an allow and as not fitting
    a block: the plane asks again when it knows more, and until then a lookup must
    not fail for the sake of a port. A client that is not known fits no client range.
    """
    match = rule.match
    lenient = rule.action is Action.ALLOW
    client = _fit(match.clients, request.client, longest_prefix, None)
    address = _fit(
        match.addresses, request.address, longest_prefix, prefix_bits if lenient else None
    )
    port = _fit(match.ports, request.port, _narrowest, _narrow if lenient else None)
    protocol = _fit(match.protocols, request.protocol, _among, _one if lenient else None)
    if client is None or address is None or port is None or protocol is None:
        return None
    return Specificity(client, name, address, port, protocol, not rule.from_pack)


def _fit(
    wanted: tuple[Any, ...],
    fact: object,
    measure: Callable[[Any, Any], int],
    measure_unknown: Callable[[Any], int] | None,
) -> int | None:
    """How closely a fact fits one part of a rule: 0 when the part is empty, None when not."""
    if not wanted:
        return 0
    if fact is None:
        return max(map(measure_unknown, wanted)) if measure_unknown else None
    return measure(fact, wanted) or None


def _narrowest(port: int, ranges: tuple[PortRange, ...]) -> int:
    return max((_narrow(r) for r in ranges if r.first <= port <= r.last), default=0)


def _among(protocol: Protocol, protocols: tuple[Protocol, ...]) -> int:
    return int(protocol in protocols)


def _one(_: Protocol) -> int:
    return 1


def _narrow(ports: PortRange) -> int:
    return _PORTS - (ports.last - ports.first)


def _suffix_fit(suffix: str) -> NameFit:
    return NameFit(suffix.count(".") + 1, _SUFFIX)


def _pattern_fit(pattern: str) -> NameFit:
    return NameFit(literal_labels(pattern), _PATTERN)


def _whole(expression: Pattern[str]) -> Callable[[str], object]:
    return expression.fullmatch


def _unusable(policy: Policy) -> Iterator[Problem]:
    seen: dict[str, Rule] = {"default": policy.default}
    for rule in policy.rules:
        if rule.id in seen:
            yield Problem(
                rule.source,
                rule.id,
                f"this id is taken at {seen[rule.id].source}",
                "give each rule an id of its own",
            )
        seen[rule.id] = rule
        if rule.match == Match():
            yield Problem(
                rule.source,
                rule.id,
                "it has nothing to match, so it would match everything",
                f"write default: {rule.action} for that, or say what it matches",
            )


def _ties(rules: Iterable[Rule]) -> Iterator[Problem]:
    """Pairs of one origin that some request would find equally specific."""
    reported: set[tuple[str, str]] = set()
    for left, right in _sharing_a_name(rules):
        pair = (left.id, right.id)
        if (
            left is not right
            and pair not in reported
            and left.from_pack == right.from_pack
            and _equal_elsewhere(left.match, right.match)
        ):
            reported.add(pair)
            yield Problem(
                right.source,
                right.id,
                f"it is exactly as specific as {left.id} at {left.source} for the same requests",
                "join the two, remove one, or narrow one of them",
            )


def _sharing_a_name(rules: Iterable[Rule]) -> Iterator[tuple[Rule, Rule]]:
    """Pairs whose name parts fit some name equally well."""
    by_name: defaultdict[tuple[int, str], list[Rule]] = defaultdict(list)
    patterns: list[tuple[str, Rule]] = []
    for rule in rules:
        for kind, names in ((_EXACT, rule.match.names), (_SUFFIX, rule.match.suffixes)):
            for name in names:
                by_name[kind, name].append(rule)
        if not rule.match.has_name:
            by_name[0, ""].append(rule)
        patterns += [(pattern, rule) for pattern in rule.match.patterns]
    for sharers in by_name.values():
        yield from combinations(sharers, 2)
    for (left, left_rule), (right, right_rule) in combinations(patterns, 2):
        if literal_labels(left) == literal_labels(right) and overlap(left, right):
            yield left_rule, right_rule


def _equal_elsewhere(left: Match, right: Match) -> bool:
    return (
        _networks_equal(left.clients, right.clients)
        and _networks_equal(left.addresses, right.addresses)
        and _ports_equal(left.ports, right.ports)
        and (
            left.protocols == right.protocols == ()
            or not set(left.protocols).isdisjoint(right.protocols)
        )
    )


def _networks_equal(left: tuple[Network, ...], right: tuple[Network, ...]) -> bool:
    # Two ranges of one length are the same range or do not meet.
    return left == right == () or not set(left).isdisjoint(right)


def _ports_equal(left: tuple[PortRange, ...], right: tuple[PortRange, ...]) -> bool:
    return left == right == () or any(
        _narrow(a) == _narrow(b) and a.first <= b.last and b.first <= a.last
        for a in left
        for b in right
    )
