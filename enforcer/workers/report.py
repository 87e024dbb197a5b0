"""What a worker reports to the main process: events, and what it counted. Pure.

    {"is": "events", "events": [[field, ...], ...]}
    {"is": "counts", "policy": digest, "counts": {metric: [[[label value, ...], number], ...]}}

Events are those since the last report, folded; counts are the whole, each time.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from enforcer.audit.event import AuditEvent
from enforcer.metrics import Counted, Metrics, Series
from enforcer.workers.channel import ChannelError, Message

# So that no message takes either side's loop for long.
MAX_EVENTS: Final = 500
# Characters, of which JSON makes six bytes at most: far below what a message may have.
MAX_EVENTS_TEXT: Final = 256 << 10

# By name of metric.
Counts = dict[str, Counted]

_FIELDS: Final = len(AuditEvent._fields)


def shared_series(metrics: Metrics) -> Iterator[Series]:
    """The metrics that workers count in, too."""
    yield metrics.audit_events_coarsened
    for series in metrics.series():
        if series.name.startswith("enforcer_dns_"):
            yield series


def events_messages(events: Iterable[AuditEvent]) -> Iterator[Message]:
    """As many as it takes."""
    part: list[AuditEvent] = []
    length = 0
    for event in events:
        text = sum(len(field) for field in event if isinstance(field, str))
        if part and (len(part) >= MAX_EVENTS or length + text > MAX_EVENTS_TEXT):
            yield {"is": "events", "events": part}
            part, length = [], 0
        part.append(event)
        length += text
    if part:
        yield {"is": "events", "events": part}


def read_events(message: Message) -> list[AuditEvent]:
    """Raises ChannelError."""
    try:
        events = [AuditEvent._make(fields) for fields in message["events"]]
        for event in events:
            # What the trail does with each: it reckons with numbers, and folds what is equal.
            hash((event.time_s + event.last_time_s + event.occurrences, event.folding_key))
    except (KeyError, TypeError) as error:
        raise ChannelError(f"no events: {error}") from None
    return events


def counts_message(metrics: Metrics, digest: str) -> Message:
    """All that was counted since the start, and the digest of the policy in force."""
    counts = {
        series.name: [[values, cell.value] for values, cell in series.cells.copy().items()]
        for series in shared_series(metrics)
    }
    return {"is": "counts", "policy": digest, "counts": counts}


def read_counts(message: Message) -> tuple[str, Counts]:
    """Digest and counts. Raises ChannelError."""
    try:
        return str(message["policy"]), {
            name: {tuple(map(str, values)): float(value) for values, value in cells}
            for name, cells in message["counts"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ChannelError(f"no counts: {error}") from None
