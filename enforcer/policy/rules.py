"""Rules as a file writes them to rules as the core has them, each with its line."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from zoneinfo import ZoneInfo

from enforcer.policy.document import AnswerDocument, MatchDocument, RuleAction, RuleDocument
from enforcer.policy.lists import NameList
from enforcer.policy.local_data import CNAME, cname_target
from enforcer.policy.model import Action, Match, Network, Refusal, Rule
from enforcer.policy.source import Located, PolicyError, Problem
from enforcer.policy.time_window import DAYS, TimeWindow

# For a rule whose author gives none.
NO_REASON = "the policy says so"

Place = tuple[str | int, ...]
# What a list file holds, by its name in a policy, and the place where it is named.
OpenList = Callable[[str, Place], NameList]


class RuleReader:
    """Makes the rules of one file; what is wrong with them is gathered in ``problems``."""

    def __init__(
        self, located: Located, groups: Mapping[str, tuple[Network, ...]], open_list: OpenList
    ) -> None:
        self._located = located
        self._groups = groups
        self._open_list = open_list
        self.problems: list[Problem] = []

    def read(self, rules: Iterable[RuleDocument], *, from_pack: bool) -> tuple[Rule, ...]:
        return tuple(
            self._rule(rule, ("rules", index), from_pack=from_pack)
            for index, rule in enumerate(rules)
        )

    def _rule(self, rule: RuleDocument, place: Place, *, from_pack: bool) -> Rule:
        passthru = rule.action is RuleAction.PASSTHRU
        refusal, cname = _refusal(rule)
        answer = rule.refusal if isinstance(rule.refusal, AnswerDocument) else None
        return Rule(
            id=rule.id,
            action=Action.ALLOW if passthru else Action(rule.action.value),
            match=self._match(rule.match, (*place, "match")),
            reason=rule.reason or NO_REASON,
            source=self._located.source(place),
            refusal=refusal,
            sinkhole=answer.sinkhole if answer else (),
            from_pack=from_pack,
            cname=cname,
            records=answer.records if answer and refusal is Refusal.LOCAL_DATA else (),
            passthru=passthru,
        )

    def _match(self, match: MatchDocument, place: Place) -> Match:
        return Match(
            names=match.names,
            suffixes=match.suffixes,
            patterns=match.patterns,
            lists=tuple(self._lists(match.lists, (*place, "lists"))),
            addresses=match.addresses,
            ports=match.ports,
            clients=tuple(self._clients(match.clients, (*place, "clients"))),
            protocols=match.protocols,
            nsdnames=match.nsdnames,
            nsips=match.nsips,
            qtypes=match.qtypes,
            windows=tuple(self._windows(match, (*place, "when"))),
            planes=match.planes,
        )

    def _lists(self, names: tuple[str, ...], place: Place) -> Iterator[NameList]:
        for index, name in enumerate(names):
            try:
                yield self._open_list(name, (*place, index))
            except PolicyError as error:
                self.problems += error.problems

    def _clients(self, entries: tuple[Network | str, ...], place: Place) -> Iterator[Network]:
        for index, entry in enumerate(entries):
            if not isinstance(entry, str):
                yield entry
            elif entry in self._groups:
                yield from self._groups[entry]
            else:
                known = f"the groups here are {', '.join(self._groups)}"
                self._add(
                    (*place, index),
                    f"there is no group {entry!r} in this file",
                    known if self._groups else "add it under groups, or write a range",
                )

    def _windows(self, match: MatchDocument, place: Place) -> Iterator[TimeWindow]:
        for index, when in enumerate(match.when):
            try:
                zone = ZoneInfo(when.timezone)
            except (OSError, ValueError, LookupError):  # no such zone, or no name of one
                self._add(
                    (*place, index, "timezone"),
                    f"no time zone {when.timezone!r} is known on this machine",
                    "write one such as Europe/Berlin or UTC",
                )
                continue
            days = frozenset(DAYS.index(day) for day in when.days)
            yield TimeWindow(days, when.start, when.end, zone)

    def _add(self, place: Place, problem: str, remedy: str) -> None:
        # One mapping may stand for a list of one, and then the file has no index.
        self.problems.append(self._located.problem(self._located.known(place), problem, remedy))


def _refusal(rule: RuleDocument) -> tuple[Refusal, str]:
    """How a lookup is answered, and the name that it is rewritten to, if it is."""
    answer = rule.refusal
    if not isinstance(answer, AnswerDocument):
        return Refusal(answer), ""
    if answer.sinkhole:
        return Refusal.SINKHOLE, ""
    if answer.cname is not None:
        return Refusal.CNAME, answer.cname
    if answer.records[0].rtype == CNAME:
        return Refusal.CNAME, cname_target(answer.records[0])
    return Refusal.LOCAL_DATA, ""
