"""Response policy zones: a zone file to the rules that it states.

The format is that of draft-vixie-dnsop-dns-rpz-00, as BIND and unbound read it: the owner
name, below the zone's own, is the trigger, and the data are the action. Records with one
and the same action are one rule, so that a feed of a million names is a handful of rules.

Lines of the form ``name CNAME .`` are read as fast as a list; all else is read by
dnspython. What cannot be understood is rejected with its line and why, and the rest counts.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from enforcer.policy.lists import NameList, Rejected, Rejections, cut_pieces, plain_lines
from enforcer.policy.model import Action, LocalRecord, Match, Network, Refusal, Rule, Source
from enforcer.policy.name_table import NameTable
from enforcer.policy.rpz_trigger import Kind, Trigger, parse_trigger
from enforcer.policy.source import PolicyError, Problem
from enforcer.policy.zone_file import Record, ZoneFile

Override = Literal["given", "nxdomain", "nodata", "passthru", "disabled"]

# With so few names a rule lists them; with more it has a table.
_FEW_NAMES = 16
# The whole of a usual line but its owner, up to a target that is an action.
_PLAIN_LINE = re.compile(
    rb"[A-Za-z0-9_.*-]+"
    rb"([ \t]+(?:[0-9]+[ \t]+)?(?:IN[ \t]+)?CNAME[ \t]+(\.|\*\.|rpz-[a-z-]+\.)[ \t]*\r?\n)",
    re.IGNORECASE,
)
_COMMENT = re.compile(rb"[ \t]*;[^\n]*")
_EMPTY_LINE = re.compile(rb"^\r?\n", re.MULTILINE)
# Of the zone itself, or of its signatures: they state no policy.
_IGNORED_TYPES = frozenset({"SOA", "NS", "DNSKEY", "DS", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM"})
_IGNORED_TYPES |= {"CDS", "CDNSKEY", "ZONEMD", "TYPE65534"}


class Outcome(NamedTuple):
    """What a record says is to be done; ``label`` is short, for the rule's id."""

    label: str
    action: Action
    refusal: Refusal = Refusal.NXDOMAIN
    cname: str = ""
    records: tuple[LocalRecord, ...] = ()
    passthru: bool = False


_NXDOMAIN = Outcome("nxdomain", Action.BLOCK)
_NODATA = Outcome("nodata", Action.BLOCK, Refusal.NODATA)
_PASSTHRU = Outcome("passthru", Action.ALLOW, passthru=True)
# By the target of the CNAME, without its final dot.
_ACTIONS = {
    "": _NXDOMAIN,
    "*": _NODATA,
    "rpz-passthru": _PASSTHRU,
    "rpz-drop": Outcome("drop", Action.BLOCK, Refusal.DROP),
    "rpz-tcp-only": Outcome("tcp-only", Action.BLOCK, Refusal.TCP_ONLY),
}
_DATA = Outcome("data", Action.BLOCK, Refusal.LOCAL_DATA)
_OVERRIDES = {"nxdomain": _NXDOMAIN, "nodata": _NODATA, "passthru": _PASSTHRU}


@dataclass(slots=True)
class _Group:
    """The triggers of one outcome, by kind."""

    line: int
    exact: NameTable
    below: NameTable = field(default_factory=NameTable)
    networks: dict[Kind, list[Network]] = field(default_factory=dict)
    name_servers: list[str] = field(default_factory=list)


class _Stated:
    """What each owner was given, so that no other record says otherwise.

    Names with one of the few fixed outcomes are in their groups' tables already; all else
    is kept here.
    """

    def __init__(self, fixed: frozenset[Outcome], groups: dict[Outcome, _Group]) -> None:
        self._fixed = fixed
        self._groups = groups
        self._others: dict[Trigger, Outcome] = {}
        # Of these the names, as lines.
        self._exact: set[str] = set()
        self._below: set[str] = set()

    def add(self, trigger: Trigger, outcome: Outcome) -> None:
        """Raises ValueError when the owner was given another outcome before."""
        line, named = f"{trigger.name}\n", trigger.kind is Kind.QNAME
        lines: tuple[list[str], list[str]] = ([], [line]) if trigger.below else ([line], [])
        if self._others.get(trigger, outcome) != outcome or (
            named and self._is_in_tables(outcome, *lines)
        ):
            raise ValueError("an earlier record of this owner says otherwise")
        if not named or outcome not in self._fixed:
            self._others[trigger] = outcome
            if named:
                (self._below if trigger.below else self._exact).add(line)

    def contradicts_any(self, outcome: Outcome, exact: list[str], below: list[str]) -> bool:
        """Whether some of these names, each with a newline, may have another outcome."""
        return (
            not self._exact.isdisjoint(exact)
            or not self._below.isdisjoint(below)
            or self._is_in_tables(outcome, exact, below)
        )

    def _is_in_tables(self, outcome: Outcome, exact: list[str], below: list[str]) -> bool:
        others = (
            group
            for fixed in self._fixed
            if fixed != outcome and (group := self._groups.get(fixed)) is not None
        )
        return any(
            (len(group.exact) and group.exact.holds_any(exact))
            or (len(group.below) and group.below.holds_any(below))
            for group in others
        )


class Zone(NamedTuple):
    """A zone that was read: its rules, and what became of its records.

    ``serial`` is that of its SOA; None when it has none.
    """

    id: str
    path: str
    rules: tuple[Rule, ...]
    entries: int
    rejected: tuple[Rejected, ...]
    rejected_count: int
    serial: int | None


def load_rpz(
    zone_id: str,
    path: str,
    content: Iterable[bytes],
    *,
    reason: str = "",
    override: Override = "given",
    size_bytes: int = 0,
) -> Zone:
    """The zone in the content of a file, in chunks of any size.

    Raises PolicyError for a file that has no policy at all.
    """
    reader = _Reader(size_bytes, override)
    for piece in cut_pieces(content):
        reader.read(piece)
    reader.done()
    if not reader.entries:
        first = next(iter(reader.rejections.kept), None)
        problem = f"there is no policy in it; {first.why}" if first else "there is no policy in it"
        line = first.line if first else 1
        raise PolicyError(
            [
                Problem(
                    Source(path, line),
                    zone_id,
                    problem.replace(";", ","),
                    "give a zone file with records such as: name.example CNAME .",
                )
            ]
        )
    rules = tuple(reader.rules(zone_id, path, reason or f"listed in the policy zone {zone_id}"))
    kept, count = tuple(reader.rejections.kept), reader.rejections.count
    return Zone(zone_id, path, rules, reader.entries, kept, count, reader.file.serial)


class _Reader:
    def __init__(self, size_bytes: int, override: Override) -> None:
        self.file = ZoneFile()
        self.entries = 0
        self.rejections = Rejections()
        self._override = override
        self._size_bytes = size_bytes
        self._groups: dict[Outcome, _Group] = {}
        # Records of one owner are one answer, and need not stand together.
        self._local: dict[Trigger, tuple[int, list[LocalRecord]]] = {}
        fixed = frozenset(map(self._overridden, _ACTIONS.values()))
        self._stated = _Stated(fixed, self._groups)

    def read(self, piece: bytes) -> None:
        """Whole lines."""
        count = piece.count(b"\n")
        if self._read_uniform(piece, count):
            return
        # In quotes a semicolon begins no comment.
        if b";" in piece and b'"' not in piece and self._read_uniform(_said(piece), count):
            return
        for line in piece.split(b"\n")[:-1]:
            for record in self.file.read_line(line):
                self._take(record)

    def done(self) -> None:
        for record in self.file.done():
            self._take(record)
        for trigger, (line, records) in self._local.items():
            data = tuple(sorted(records))
            self._put(line, trigger, Outcome("data", Action.BLOCK, Refusal.LOCAL_DATA, "", data))

    def _read_uniform(self, piece: bytes, file_lines: int) -> bool:
        """Read a piece whose lines are all ``name CNAME .``; of any other, nothing.

        ``file_lines`` is how many there are in the file, comments among them.
        """
        first = _PLAIN_LINE.match(piece)
        outcome = _ACTIONS.get(first[2].decode().lower().rstrip(".")) if first else None
        if first is None or outcome is None or not self.file.names_are_triggers:
            return False
        count = piece.count(b"\n")
        if piece.count(first[1]) != count:
            return False
        owners = piece.replace(first[1], b"\n")
        wild = b"*" in owners
        lines = plain_lines(_without_stars(owners) if wild else owners)
        if lines is None or b".rpz-" in owners:
            return False
        below: list[str] = []
        if wild:
            pairs = list(zip(owners.split(b"\n"), lines, strict=False))
            below = [line for owner, line in pairs if owner.startswith(b"*")]
            lines = [line for owner, line in pairs if not owner.startswith(b"*")]
        if self._stated.contradicts_any(self._overridden(outcome), lines, below):
            return False
        group = self._group(outcome, self.file.line + 1)
        group.below.add_lines(below)
        group.exact.add_lines(lines)
        self.entries += count
        self.file.skip(file_lines, owners[:-1].rpartition(b"\n")[2])
        return True

    def _group(self, outcome: Outcome, line: int) -> _Group:
        outcome = self._overridden(outcome)
        group = self._groups.get(outcome)
        if group is None:
            # Only the first is likely to be large.
            size = 0 if self._groups else self._size_bytes
            group = self._groups[outcome] = _Group(line, NameTable(size))
        return group

    def _overridden(self, outcome: Outcome) -> Outcome:
        if self._override == "disabled":
            return outcome._replace(action=Action.MONITOR, passthru=False)
        return _OVERRIDES.get(self._override, outcome)

    def _take(self, record: Record) -> None:
        try:
            self._state(record)
        except ValueError as error:
            self.rejections.add(record.line, record.text, str(error))

    def _state(self, record: Record) -> None:
        """One record. Raises ValueError with a sentence for what is no policy."""
        if record.fault:
            raise ValueError(record.fault)
        if record.rtype in _IGNORED_TYPES or not record.owner:
            return
        trigger = parse_trigger(record.owner)
        if record.rtype == "CNAME":
            self._add(record.line, trigger, _outcome(trigger, record.target))
        elif record.rtype == "DNAME":
            raise ValueError("DNAME is no action; write a CNAME to *.name instead")
        elif record.data is not None:
            # Its outcome is not known before all records of the owner are.
            self._stated.add(trigger, self._overridden(_DATA))
            _, records = self._local.setdefault(trigger, (record.line, []))
            records.append(record.data)

    def _add(self, line: int, trigger: Trigger, outcome: Outcome) -> None:
        self._stated.add(trigger, self._overridden(outcome))
        self._put(line, trigger, outcome)

    def _put(self, line: int, trigger: Trigger, outcome: Outcome) -> None:
        group = self._group(outcome, line)
        self.entries += 1
        if trigger.network is not None:
            group.networks.setdefault(trigger.kind, []).append(trigger.network)
        elif trigger.kind is Kind.NSDNAME:
            group.name_servers.append(trigger.name)
        else:
            (group.below if trigger.below else group.exact).add((trigger.name,))

    def rules(self, zone_id: str, path: str, reason: str) -> Iterator[Rule]:
        """One rule for each outcome and kind of trigger."""
        taken: dict[str, int] = {}
        for outcome, group in self._groups.items():
            # Data have no name of their own.
            again = taken[outcome.label] = taken.get(outcome.label, 0) + 1
            label = outcome.label if again == 1 else f"{outcome.label}:{again}"
            for kind, match in _matches(path, group):
                yield Rule(
                    id=f"{zone_id}:{label}" + (f":{kind.value}" if kind is not Kind.QNAME else ""),
                    action=outcome.action,
                    match=match,
                    reason=reason,
                    source=Source(path, group.line),
                    refusal=outcome.refusal,
                    from_pack=True,
                    cname=outcome.cname,
                    records=outcome.records,
                    passthru=outcome.passthru,
                )


def _matches(path: str, group: _Group) -> Iterator[tuple[Kind, Match]]:
    names = tuple(sorted(group.exact)) if len(group.exact) <= _FEW_NAMES else ()
    entries = (0 if names else len(group.exact)) + len(group.below)
    if entries:
        exact = NameTable() if names else group.exact
        lists = (NameList(path, exact, NameTable(), group.below, entries),)
        yield Kind.QNAME, Match(names=names, lists=lists)
    elif names:
        yield Kind.QNAME, Match(names=names)
    if found := group.networks.get(Kind.IP):
        yield Kind.IP, Match(addresses=tuple(found))
    if found := group.networks.get(Kind.CLIENT_IP):
        yield Kind.CLIENT_IP, Match(clients=tuple(found))
    if found := group.networks.get(Kind.NSIP):
        yield Kind.NSIP, Match(nsips=tuple(found))
    if group.name_servers:
        yield Kind.NSDNAME, Match(nsdnames=tuple(group.name_servers))


def _said(piece: bytes) -> bytes:
    """The piece without comments, and without lines that have nothing else."""
    return _EMPTY_LINE.sub(b"", _COMMENT.sub(b"", piece))


def _without_stars(owners: bytes) -> bytes:
    return (b"\n" + owners).replace(b"\n*.", b"\n")[1:]


def _outcome(trigger: Trigger, target: str) -> Outcome:
    """What a CNAME to ``target`` says, folded and whole."""
    if target in _ACTIONS:
        return _ACTIONS[target]
    if target == trigger.name and trigger.kind is Kind.QNAME and not trigger.below:
        return _PASSTHRU  # as it was written before rpz-passthru (draft 3.4)
    first, _, rest = target.partition(".")
    if first.startswith("rpz-"):
        if not rest:
            raise ValueError(f"{target} is no action that is known")
        if first in _ACTIONS:
            raise ValueError(f"{first} without its final dot is a name in the zone")
    return Outcome(f"cname:{target}", Action.BLOCK, Refusal.CNAME, cname=target)
