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
from enforcer.policy.names import MAX_LABELS, MAX_WIRE_BYTES
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


class _Listed(NamedTuple):
    """A list of one rule; a candidate stands ready for each number of labels.

    The tables are None where they are empty.
    """

    exact: NameTable | None
    suffix: NameTable | None
    below: NameTable | None
    as_exact: tuple[Candidate, ...]
    as_suffix: tuple[Candidate, ...]

    def find(self, suffixes: list[str]) -> Candidate | None:
        """The closest entry; ``suffixes`` are the name, and what is above it, upwards."""
        exact, table, below, as_exact, as_suffix = self
        if exact is not None and suffixes[0] in exact:
            return as_exact[len(suffixes)]
        labels = len(suffixes)
        for suffix in suffixes:
            if table is not None and suffix in table:
                return as_suffix[labels]
            if below is not None and suffix is not suffixes[0] and suffix in below:
                return as_suffix[labels]
            labels -= 1
        return None


class NameIndex:
    """The rules that have a name part."""

    __slots__ = ("_exact", "_lists", "_suffix")

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
        self._suffix = {name: tuple(found) for name, found in suffix.items()}
        self._lists = tuple(lists)

    def find(self, name: str) -> list[Candidate]:
        """Every rule whose name part fits."""
        found = list(self._exact.get(name, ()))
        if not name:
            return found
        # Longer than any name on the wire: no reason to walk all of it.
        suffix, suffixes = name, []
        if len(name) > MAX_WIRE_BYTES:
            suffix, suffixes = _last_labels(name), [name]
        by_suffix = self._suffix
        while suffix:
            suffixes.append(suffix)
            if suffix in by_suffix:
                found += _fitting(by_suffix[suffix], name)
            suffix = suffix.partition(".")[2]
        if "" in by_suffix:
            found += _fitting(by_suffix[""], name)
        for listed in self._lists:
            if candidate := listed.find(suffixes):
                found.append(candidate)
        return found


def _fitting(candidates: tuple[Candidate, ...], name: str) -> Iterator[Candidate]:
    for candidate in candidates:
        if candidate.matches is None or candidate.matches(name):
            yield candidate


def _listed(rule: Rule, names: NameList) -> _Listed:
    as_exact, as_suffix = (
        tuple(
            _candidate(rule, NameFit(labels, kind), listed=True) for labels in range(MAX_LABELS + 1)
        )
        for kind in (EXACT, SUFFIX)
    )
    exact, suffix, below = (
        table if len(table) else None for table in (names.exact, names.suffix, names.below)
    )
    return _Listed(exact, suffix, below, as_exact, as_suffix)


def _last_labels(name: str) -> str:
    return ".".join(name.rsplit(".", MAX_LABELS)[-MAX_LABELS:])


class NamelessIndex:
    """The rules for whatever name, each under the entries of the first part that it has.

    A rule that lets through may fit while a fact is not known (see specificity): it
    stands under None, too.
    """

    __slots__ = ("_address", "_client", "_nsdname", "_nsip", "_others", "_unknown")

    def __init__(self, rules: Iterable[Rule]) -> None:
        ranges: dict[str, list[tuple[Any, Candidate]]] = {"clients": [], "addresses": []}
        ranges["nsips"] = []
        nsdnames: defaultdict[str, list[Candidate]] = defaultdict(list)
        unknown: defaultdict[str, list[Candidate]] = defaultdict(list)
        others = []
        for rule in rules:
            part = _first_part(rule)
            if part is None:
                others.append(_candidate(rule, ANY_NAME))
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
        self._client = PrefixTable(ranges["clients"])
        self._address = PrefixTable(ranges["addresses"])
        self._nsip = PrefixTable(ranges["nsips"])
        self._nsdname = dict(nsdnames)
        self._unknown = dict(unknown)

    def find(self, request: Request) -> list[Candidate]:
        """Every rule that may fit; of a rule, each entry that does is one of its own."""
        found = list(self._others)
        if self._client and request.client is not None:
            found += self._client.holding(request.client)
        if request.address is not None:
            found += self._address.holding(request.address)
        elif self._unknown:
            found += self._unknown.get("addresses", ())
        if self._nsdname and request.nsdnames is not None:
            for name in request.nsdnames:
                found += self._below(name)
        elif self._unknown:
            found += self._unknown.get("nsdnames", ())
        if self._nsip and request.nsips is not None:
            for address in request.nsips:
                found += self._nsip.holding(address)
        elif self._unknown:
            found += self._unknown.get("nsips", ())
        return found

    def _below(self, name: str) -> Iterator[Candidate]:
        suffix = name if len(name) <= MAX_WIRE_BYTES else _last_labels(name)
        while suffix:
            yield from self._nsdname.get(suffix, ())
            suffix = suffix.partition(".")[2]


def _first_part(rule: Rule) -> str | None:
    parts = ("clients", "addresses", "nsdnames", "nsips")
    return next((part for part in parts if getattr(rule.match, part)), None)
