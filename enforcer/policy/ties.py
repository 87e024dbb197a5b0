"""Rules that cannot work together: some request would find two of them equally specific.

Called by compile, so that no policy in force has a tie.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations

from enforcer.policy.model import Match, Network, PortRange, Rule
from enforcer.policy.pattern import literal_labels, overlap
from enforcer.policy.source import Problem
from enforcer.policy.specificity import EXACT, SUFFIX, narrowness


def find_ties(rules: Iterable[Rule]) -> Iterator[Problem]:
    """Pairs of one origin that some request would find equally specific."""
    reported: set[tuple[str, str]] = set()
    for what, left, right in _sharing_a_name(rules):
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
                f"it is exactly as specific as {left.id} at {left.source} for {what}",
                _untie(left, right),
            )


def _untie(left: Rule, right: Rule) -> str:
    if left.connect_url and right.connect_url:
        return "list each host and port under one Connect URL only"
    if left.connect_url:
        return "remove it, since the Connect URL is a rule already, or narrow it"
    return "join the two, remove one, or narrow one of them"


def _sharing_a_name(rules: Iterable[Rule]) -> Iterator[tuple[str, Rule, Rule]]:
    """Pairs whose name parts fit some name equally well, and which name that is."""
    by_name: defaultdict[tuple[int, str], list[Rule]] = defaultdict(list)
    patterns: list[tuple[str, Rule]] = []
    for rule in rules:
        for kind, names in ((EXACT, rule.match.names), (SUFFIX, rule.match.suffixes)):
            for name in names:
                by_name[kind, name].append(rule)
        if not rule.match.has_name:
            by_name[0, "the same requests"].append(rule)
        patterns += [(pattern, rule) for pattern in rule.match.patterns]
    for (_, name), sharers in by_name.items():
        yield from ((name, left, right) for left, right in combinations(sharers, 2))
    for (left, left_rule), (right, right_rule) in combinations(patterns, 2):
        if literal_labels(left) == literal_labels(right) and overlap(left, right):
            yield f"names that fit both {left} and {right}", left_rule, right_rule


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
        narrowness(a) == narrowness(b) and a.first <= b.last and b.first <= a.last
        for a in left
        for b in right
    )
