"""Policy to CompiledPolicy: indexes by name, ties between rules refused.

How specific a rule is for a request is decided here, in one key; decide takes the
rule with the greatest. Everything that can be known at load is made here, once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

from enforcer.policy.addresses import longest_prefix, prefix_bits
from enforcer.policy.model import (
    Action,
    Address,
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
from enforcer.policy.names import MAX_LABELS, MAX_WIRE_BYTES
from enforcer.policy.pattern import compile_pattern, literal_labels, literal_tail, overlap
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


class NameRule(NamedTuple):
    """A rule for names at and below a suffix; ``matches`` says which, None says all."""

    fit: NameFit
    rule: Rule
    matches: Callable[[str], object] | None


class ConnectUrlRule(NamedTuple):
    url: ConnectUrl
    rule: Rule


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A policy that planes ask; immutable, swapped whole on reload."""

    policy: Policy
    exact: dict[str, tuple[Rule, ...]]
    # A pattern stands under the labels after its last star, "" when there are none.
    suffix: dict[str, tuple[NameRule, ...]]
    nameless: tuple[Rule, ...]
    connect_urls: dict[str, tuple[ConnectUrlRule, ...]]
    hint: str
    # Names whose lookup is blocked for every client, in wire form: the DNS fast path.
    dns_blocked: Mapping[bytes, Verdict] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()

    def candidates(self, name: str) -> Iterator[tuple[NameFit, Rule]]:
        """Every rule whose name part fits, with how well; Connect URLs are asked for apart."""
        if name:
            for rule in self.exact.get(name, ()):
                yield exact_fit(name), rule
            # Longer than any name on the wire: no reason to walk all of it.
            suffix = name if len(name) <= MAX_WIRE_BYTES else _last_labels(name)
            while True:
                for fit, rule, matches in self.suffix.get(suffix, ()):
                    if matches is None or matches(name):
                        yield fit, rule
                if not suffix:
                    break
                _, _, suffix = suffix.partition(".")
        for rule in self.nameless:
            yield ANY_NAME, rule

    def connect_url_rule(self, request: Request) -> Rule | None:
        """The Connect URL that a request belongs to, as a rule.

        While the port is not known, that is any of the host's, best one that may have
        the address.
        """
        found = None
        for url, rule in self.connect_urls.get(request.name, ()):
            if request.port is None or request.port == url.port:
                if allows_address(url, request.address):
                    return rule
                found = found or rule
        return found

    def connect_url(self, name: str, port: int | None) -> ConnectUrl | None:
        """The Connect URL of a host and port; any of the host's when the port is unknown."""
        for url, _ in self.connect_urls.get(name, ()):
            if port is None or port == url.port:
                return url
        return None


def _last_labels(name: str) -> str:
    return ".".join(name.rsplit(".", MAX_LABELS)[-MAX_LABELS:])


def compile_policy(policy: Policy) -> CompiledPolicy:
    """Build the indexes. Raises PolicyError for ties, and for rules that cannot work."""
    urls = [ConnectUrlRule(url, connect_url_rule(url)) for url in policy.connect_urls]
    ssh_rules = tuple(_ssh_rules(policy.connect_urls))
    rules = (*ssh_rules, *policy.rules)
    problems = [*_unusable(policy), *_ties([*(rule for _, rule in urls), *rules])]
    if problems:
        raise PolicyError(problems)
    exact: defaultdict[str, list[Rule]] = defaultdict(list)
    suffix: defaultdict[str, list[NameRule]] = defaultdict(list)
    hosts: defaultdict[str, list[ConnectUrlRule]] = defaultdict(list)
    for rule in rules:
        for name in dict.fromkeys(rule.match.names):
            exact[name].append(rule)
        for name in dict.fromkeys(rule.match.suffixes):
            suffix[name].append(NameRule(_suffix_fit(name), rule, None))
        for pattern in dict.fromkeys(rule.match.patterns):
            matches = compile_pattern(pattern).fullmatch
            suffix[literal_tail(pattern)].append(NameRule(_pattern_fit(pattern), rule, matches))
    for found in sorted(urls, key=lambda found: found.rule.id):
        for name in dict.fromkeys(found.rule.match.names):
            hosts[name].append(found)
    return CompiledPolicy(
        policy=policy,
        exact={name: tuple(rules) for name, rules in exact.items()},
        suffix={name: tuple(rules) for name, rules in suffix.items()},
        nameless=tuple(rule for rule in policy.rules if not rule.match.has_name),
        connect_urls={name: tuple(rules) for name, rules in hosts.items()},
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


def _ssh_rules(urls: Iterable[ConnectUrl]) -> Iterator[Rule]:
    """SSH to the hosts of Connect URLs, blocked on every port.

    ngrok takes ``ssh -R`` on the addresses of every ingress, and SSH names no host, so
    that a Connect URL's address is as good for it as the default's, whoever's account it
    is. Counts as a pack's rule: the policy's own may allow it.
    """
    taken: set[str] = set()
    for url in urls:
        names = tuple(dict.fromkeys((url.host, *url.region_hosts)))
        names = tuple(name for name in names if name not in taken)
        taken.update(names)
        if names:
            yield Rule(
                id=f"connect-url:{url}:ssh",
                action=Action.BLOCK,
                match=Match(names=names, protocols=(Protocol.SSH,)),
                reason=f"SSH does not say that it wants {url.host}, so any account could use it",
                source=url.source,
                from_pack=True,
            )


def allows_address(url: ConnectUrl, address: Address | None) -> bool:
    """Whether an address may answer for a Connect URL, as far as is known."""
    return address is None or not url.addresses or longest_prefix(address, url.addresses) > 0


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
        port = _measure(request.port, match.ports, _narrowest, _narrow if lenient else None)
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
    return max((_narrow(r) for r in ranges if r.first <= port <= r.last), default=0)


def _among(protocol: Protocol, protocols: tuple[Protocol, ...]) -> int:
    return int(protocol in protocols)


def _one(_: Protocol) -> int:
    return 1


def _narrow(ports: PortRange) -> int:
    return _PORTS - (ports.last - ports.first)


def exact_fit(name: str) -> NameFit:
    return NameFit(name.count(".") + 1, _EXACT)


def _suffix_fit(suffix: str) -> NameFit:
    return NameFit(suffix.count(".") + 1, _SUFFIX)


def _pattern_fit(pattern: str) -> NameFit:
    return NameFit(literal_labels(pattern), _PATTERN)


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
                _untie(left, right),
            )


def _untie(left: Rule, right: Rule) -> str:
    if left.connect_url and right.connect_url:
        return "list each host and port under one Connect URL only"
    if left.connect_url:
        return "remove it, since the Connect URL is a rule already, or narrow it"
    return "join the two, remove one, or narrow one of them"


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
