"""Equal events folded in memory, within a bound.

Past the bound an event still counts, but for less: first its destination is left out,
then who asked and why. What remains is bounded by the number of the policy's rules.
"""

from collections.abc import Iterator

from enforcer.audit.event import AuditEvent

LEFT_OUT = "*"
# More than this in one interval is a scan or a flood. Each is stored and logged, which
# takes several times as long as it takes to refuse one.
MAX_DETAILED = 2_000
# Room on top for the clients of such a flood. Spoofed ones go past it.
MAX_CLIENTS = 2_000


class _Folded:
    """When and how often: all that equal events differ in."""

    __slots__ = ("first_time_s", "last_time_s", "occurrences")

    def __init__(self, event: AuditEvent) -> None:
        self.first_time_s = event.time_s
        self.last_time_s = event.last_time_s
        self.occurrences = event.occurrences

    def add(self, event: AuditEvent) -> None:
        self.occurrences += event.occurrences
        # Windows that are merged bring times that are not in order.
        self.last_time_s = max(self.last_time_s, event.last_time_s)
        self.first_time_s = min(self.first_time_s, event.time_s)


class Window:
    """The different events of a time. Iterating gives one event for all that are equal."""

    __slots__ = ("_folded", "_max_clients", "_max_detailed", "coarsened", "occurrences")

    def __init__(self, max_detailed: int = MAX_DETAILED, max_clients: int = MAX_CLIENTS) -> None:
        self._folded: dict[tuple[object, ...], _Folded] = {}
        self._max_detailed = max_detailed
        self._max_clients = max_clients
        self.occurrences = 0
        self.coarsened = 0

    def __len__(self) -> int:
        return len(self._folded)

    def __iter__(self) -> Iterator[AuditEvent]:
        for key, folded in self._folded.items():
            yield AuditEvent._make(
                (folded.first_time_s, folded.last_time_s, *key, folded.occurrences)
            )

    def add(self, event: AuditEvent) -> None:
        """Runs on the loop for every event: one look-up where an equal one is there."""
        self.occurrences += event.occurrences
        folded = self._folded.get(event.folding_key)
        if folded is None:
            self._add_different(event)
        else:
            folded.add(event)

    def merge(self, other: "Window") -> None:
        for event in other:
            self.add(event)

    def _add_different(self, event: AuditEvent) -> None:
        kept = self._within_bound(event)
        if kept.address == LEFT_OUT != event.address:
            self.coarsened += event.occurrences
        folded = self._folded.get(kept.folding_key)
        if folded is None:
            self._folded[kept.folding_key] = _Folded(kept)
        else:
            folded.add(kept)

    def _within_bound(self, event: AuditEvent) -> AuditEvent:
        if len(self) < self._max_detailed:
            return event
        nowhere = event._replace(name=LEFT_OUT, address=LEFT_OUT, port=None)
        if (
            len(self) < self._max_detailed + self._max_clients
            or nowhere.folding_key in self._folded
        ):
            return nowhere
        return nowhere._replace(client=LEFT_OUT, reason=LEFT_OUT)
