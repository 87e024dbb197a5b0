"""Rules that cannot work together: some request would find two of them equally specific.

Called by compile, so that no policy in force has a tie.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations

from enforcer.policy.model import PortRange, Rule
from enforcer.policy.pattern import literal_labels, overlap
from enforcer.policy.source import Problem
from enforcer.policy.specificity import EXACT, SUFFIX, narrowness
from enforcer.policy.time_window import TimeWindow


def find_ties(rules: Iterable[Rule]) -> Iterator[Problem]:
    """Pairs of one origin that some request would find equally specific."""
    reported: set[tuple[str, str]] = set()
    for what, left, right in _sharing_a_name(rules):
        pair = (left.id, right.id)
        if (
            left is not right
            and pair not in reported
            and left.from_pack == right.from_pack
            and _equal_elsewhere(left, right)
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
    # Lists and zones have an order, and are never equal to another rule.
    for rule in (rule for rule in rules if not rule.zone):
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


def _equal_elsewhere(left_rule: Rule, right_rule: Rule) -> bool:
    left, right = left_rule.match, right_rule.match
    return (
        _share(left.clients, right.clients)
        and _share(left.addresses, right.addresses)
        # A zone may have a name server of each: decide says which counts.
        and _share(left.nsdnames, right.nsdnames)
        and _share(left.nsips, right.nsips)
        and _share(left.qtypes, right.qtypes)
        and _windows_meet(left.windows, right.windows)
        and _ports_equal(left.ports, right.ports)
        and _share(left.protocols, right.protocols)
        and _share(left_rule.planes, right_rule.planes)
    )


def _share(left: tuple[object, ...], right: tuple[object, ...]) -> bool:
    # Two ranges of one length are the same range or do not meet.
    return left == right == () or not set(left).isdisjoint(right)


def _windows_meet(left: tuple[TimeWindow, ...], right: tuple[TimeWindow, ...]) -> bool:
    return left == right == () or any(a.meets(b) for a in left for b in right)


def _ports_equal(left: tuple[PortRange, ...], right: tuple[PortRange, ...]) -> bool:
    return left == right == () or any(
        narrowness(a) == narrowness(b) and a.first <= b.last and b.first <= a.last
        for a in left
        for b in right
    )
