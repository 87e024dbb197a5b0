"""AuditEvent: the fields of a record, and the key by which equal ones are folded."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from enforcer.audit.text import printable, well_formed
from enforcer.policy.model import Action, Mode, Plane, Request, Verdict


class AuditEvent(NamedTuple):
    """One thing that happened, or ``occurrences`` equal ones from ``time_s`` to ``last_time_s``.

    Times are seconds since the epoch. Names and addresses are text; an empty text
    means that there was none.
    """

    time_s: float
    last_time_s: float
    plane: str
    client: str
    name: str
    address: str
    port: int | None
    action: str
    rule: str
    reason: str
    mode: str
    source: str
    policy: str
    occurrences: int = 1

    @property
    def folding_key(self) -> tuple[object, ...]:
        """Everything but when and how often."""
        return self[2:13]


Record = Callable[[AuditEvent], None]
# An enum's ``value`` is looked up in Python, each time.
_WORDS: Final = {word: word.value for words in (Plane, Action, Mode) for word in words}


def audit_event(request: Request, verdict: Verdict, digest: str) -> AuditEvent:
    """The record of a verdict, at the request's own time."""
    return AuditEvent(
        time_s=request.time_s,
        last_time_s=request.time_s,
        plane=_WORDS[request.plane],
        client=str(request.client) if request.client else "",
        name=request.name,
        address=str(request.address) if request.address else "",
        port=request.port,
        action=_WORDS[verdict.action],
        rule=verdict.rule,
        reason=verdict.reason,
        mode=_WORDS[verdict.mode],
        source=str(verdict.source),
        policy=digest,
    )


def event_fields(event: AuditEvent) -> dict[str, Any]:
    """The event as programs see it, in the log and in ``enforcer audit --json``."""
    return {
        "time": render_time(event.time_s),
        "plane": event.plane,
        "client": well_formed(event.client),
        "name": well_formed(event.name),
        "address": well_formed(event.address),
        "port": event.port,
        "action": event.action,
        "rule": well_formed(event.rule),
        "reason": well_formed(event.reason),
        "mode": event.mode,
        "source": well_formed(event.source),
        "policy": event.policy,
        "count": event.occurrences,
        "last_time": render_time(event.last_time_s),
    }


def render_time(time_s: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def render_destination(name: str, address: str, port: int | None) -> str:
    """``name (address) port 443`` for a person, as much of it as is known."""
    parts = [printable(name)] if name else []
    if address:
        parts.append(f"({printable(address)})" if name else printable(address))
    if port is not None:
        parts.append(f"port {port}")
    return " ".join(parts)
