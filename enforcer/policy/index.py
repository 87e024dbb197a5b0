"""Which rules may fit a request, found without asking each of them.

Rules with a name part are found by the name; the others by the first range or name
server that they are about. What is found still has to be measured (see specificity).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from enforcer.policy.lists import NameList
from enforcer.policy.model import Action, Request, Rule
from enforcer.policy.name_table import NameTable
from enforcer.policy.names import MAX_LABELS, MAX_WIRE_BYTES, suffixes
from enforcer.policy.pattern import compile_pattern, literal_tail
from enforcer.policy.prefix_table import PrefixTable
from enforcer.policy.specificity import (
    ANY_NAME,
    EXACT,
    SUFFIX,
    NameFit,
    Specificity,
    exact_fit,
    pattern_fit,
    plain_specificity,
    suffix_fit,
)


class Candidate(NamedTuple):
    """A rule that may fit, and how well its name part does.

    ``key`` is its precedence where nothing but the name matters, else None. ``matches``
    says for a pattern whether a name fits; None is for all.
    """

    rule: Rule
    fit: NameFit
    rank: int
    key: Specificity | None
    matches: Callable[[str], object] | None = None


def _candidate(
    rule: Rule,
    fit: NameFit,
    matches: Callable[[str], object] | None = None,
    *,
    listed: bool = False,
) -> Candidate:
    rank = rule.rank if listed or rule.zone else 0
    return Candidate(rule, fit, rank, plain_specificity(rule, fit, rank), matches)


class _ByLabels(dict[int, Candidate]):
    """A listed rule as a candidate, by the labels of the entry; made when first needed."""

    __slots__ = ("_kind", "_rule")

    def __init__(self, rule: Rule, kind: int) -> None:
        super().__init__()
        self._rule = rule
        self._kind = kind

    def __missing__(self, labels: int) -> Candidate:
        candidate = _candidate(self._rule, NameFit(labels, self._kind), listed=True)
        self[labels] = candidate
        return candidate


class _Listed(NamedTuple):
    """A list of one rule. The tables are None where they are empty."""

    exact: NameTable | None
    suffix: NameTable | None
    below: NameTable | None
    as_exact: _ByLabels
    as_suffix: _ByLabels

    def find(self, names: list[str]) -> Candidate | None:
        """The closest entry; ``names`` are the name, and what is above it, upwards."""
        exact, table, below, as_exact, as_suffix = self
        if exact is not None and names[0] in exact:
            return as_exact[len(names)]
        labels = len(names)
        for suffix in names:
            if table is not None and suffix in table:
                return as_suffix[labels]
            if below is not None and suffix is not names[0] and suffix in below:
                return as_suffix[labels]
            labels -= 1
        return None


class NameIndex:
    """The rules that have a name part."""

    __slots__ = ("_anywhere", "_exact", "_lists", "_suffix")

    def __init__(self, rules: Iterable[Rule]) -> None:
        exact: defaultdict[str, list[Candidate]] = defaultdict(list)
        # A pattern stands under the labels after its last star, "" when there are none.
        suffix: defaultdict[str, list[Candidate]] = defaultdict(list)
        lists: list[_Listed] = []
        for rule in rules:
            for name in dict.fromkeys(rule.match.names):
                exact[name].append(_candidate(rule, exact_fit(name)))
            for name in dict.fromkeys(rule.match.suffixes):
                suffix[name].append(_candidate(rule, suffix_fit(name)))
            for pattern in dict.fromkeys(rule.match.patterns):
                matches = compile_pattern(pattern).fullmatch
                found = _candidate(rule, pattern_fit(pattern), matches)
                suffix[literal_tail(pattern)].append(found)
            lists += [_listed(rule, names) for names in rule.match.lists]
        self._exact = {name: tuple(found) for name, found in exact.items()}
        self._anywhere = tuple(suffix.pop("", ()))
        self._suffix = {name: tuple(found) for name, found in suffix.items()}
        self._lists = tuple(lists)

    def settled(self) -> Iterator[tuple[str, list[Candidate]]]:
        """Names whose exact rules are about nothing but the name, with those rules.

        For a client whom no rule is about, nothing else is as specific.
        """
        for name, exact in self._exact.items():
            found = [candidate for candidate in exact if not candidate.rule.match.clients]
            if found and all(candidate.key and not candidate.rule.zone for candidate in found):
                yield name, found

    def find(self, name: str) -> list[Candidate]:
        """Every rule whose name part fits."""
        found = list(self._exact.get(name, ()))
        if not name:
            return found
        # Longer than any name on the wire: no reason to walk all of it.
        suffix = name if len(name) <= MAX_WIRE_BYTES else _last_labels(name)
        by_suffix = self._suffix
        while suffix:
            if suffix in by_suffix:
                for candidate in by_suffix[suffix]:
                    matches = candidate.matches
                    if matches is None or matches(name):
                        found.append(candidate)
            suffix = suffix.partition(".")[2]
        if self._anywhere:
            found += [each for each in self._anywhere if each.matches and each.matches(name)]
        if self._lists:
            self._find_listed(name, found)
        return found

    def _find_listed(self, name: str, found: list[Candidate]) -> None:
        long = len(name) > MAX_WIRE_BYTES
        names = [name, *suffixes(_last_labels(name))] if long else list(suffixes(name))
        found += filter(None, (listed.find(names) for listed in self._lists))


def _listed(rule: Rule, names: NameList) -> _Listed:
    exact, suffix, below = (
        table if len(table) else None for table in (names.exact, names.suffix, names.below)
    )
    return _Listed(exact, suffix, below, _ByLabels(rule, EXACT), _ByLabels(rule, SUFFIX))


def _last_labels(name: str) -> str:
    return ".".join(name.rsplit(".", MAX_LABELS)[-MAX_LABELS:])


class NamelessIndex:
    """The rules for whatever name, each under the entries of the first part that it has.

    A rule that lets through may fit while a fact is not known (see specificity): it
    stands under None, too.
    """

    __slots__ = (
        *("_address", "_client", "_nsdname", "_nsip"),
        *("_has_entries", "_of_connections", "_others", "_unknown"),
    )

    def __init__(self, rules: Iterable[Rule]) -> None:
        ranges: dict[str, list[tuple[Any, Candidate]]] = {"clients": [], "addresses": []}
        ranges["nsips"] = []
        nsdnames: defaultdict[str, list[Candidate]] = defaultdict(list)
        unknown: defaultdict[str, list[Candidate]] = defaultdict(list)
        others: list[Candidate] = []
        of_connections: list[Candidate] = []
        for rule in rules:
            part = _first_part(rule)
            if part is None:
                waits = rule.action is Action.BLOCK and (rule.match.ports or rule.match.protocols)
                (of_connections if waits else others).append(_candidate(rule, ANY_NAME))
                continue
            for entry in dict.fromkeys(getattr(rule.match, part)):
                narrowed = replace(rule, match=replace(rule.match, **{part: (entry,)}))
                candidate = _candidate(narrowed, ANY_NAME)
                if part == "nsdnames":
                    nsdnames[entry].append(candidate)
                else:
                    ranges[part].append((entry, candidate))
                if rule.action is not Action.BLOCK:
                    unknown[part].append(candidate)
        self._others = tuple(others)
        # Blocks that cannot fit while neither port nor protocol is known.
        self._of_connections = tuple(of_connections)
        self._client = PrefixTable(ranges["clients"])
        self._address = PrefixTable(ranges["addresses"])
        self._nsip = PrefixTable(ranges["nsips"])
        self._nsdname = dict(nsdnames)
        self._unknown = dict(unknown)
        self._has_entries = bool(nsdnames or any(ranges.values()))

    def find(self, request: Request) -> list[Candidate]:
        """Every rule that may fit; of a rule, each entry that does is one of its own."""
        found = list(self._others)
        if self._of_connections and (request.port is not None or request.protocol is not None):
            found += self._of_connections
        if self._has_entries:
            self._find_entries(request, found)
        return found

    def _find_entries(self, request: Request, found: list[Candidate]) -> None:
        if request.client is not None:
            found += self._client.holding(request.client)
        if request.address is not None:
            found += self._address.holding(request.address)
        elif self._unknown:
            found += self._unknown.get("addresses", ())
        if request.nsdnames is not None:
            for name in request.nsdnames:
                found += self._below(name)
        elif self._unknown:
            found += self._unknown.get("nsdnames", ())
        if request.nsips is not None:
            for address in request.nsips:
                found += self._nsip.holding(address)
        elif self._unknown:
            found += self._unknown.get("nsips", ())

    def _below(self, name: str) -> Iterator[Candidate]:
        suffix = name if len(name) <= MAX_WIRE_BYTES else _last_labels(name)
        while suffix:
            yield from self._nsdname.get(suffix, ())
            suffix = suffix.partition(".")[2]


def _first_part(rule: Rule) -> str | None:
    parts = ("clients", "addresses", "nsdnames", "nsips")
    return next((part for part in parts if getattr(rule.match, part)), None)
