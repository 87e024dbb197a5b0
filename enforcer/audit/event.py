"""AuditEvent: the fields of a record, and the key by which equal ones are folded."""

from collections.abc import Callable
from typing import NamedTuple

from enforcer.policy.model import Request, Verdict


class AuditEvent(NamedTuple):
    """One thing that happened, or ``occurrences`` equal ones since ``time_s``.

    Times are seconds since the epoch. Names and addresses are text; an empty text
    means that there was none.
    """

    time_s: float
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
    last_time_s: float = 0.0

    @property
    def folding_key(self) -> tuple[object, ...]:
        """Everything but when and how often."""
        return self[1:12]

    def fold(self, other: "AuditEvent") -> "AuditEvent":
        """The one record of both."""
        return self._replace(
            time_s=min(self.time_s, other.time_s),
            occurrences=self.occurrences + other.occurrences,
            last_time_s=max(self.last_time_s, other.last_time_s),
        )


Record = Callable[[AuditEvent], None]


def audit_event(request: Request, verdict: Verdict, digest: str) -> AuditEvent:
    """The record of a verdict, at the request's own time."""
    return AuditEvent(
        time_s=request.time_s,
        plane=request.plane.value,
        client=str(request.client) if request.client else "",
        name=request.name,
        address=str(request.address) if request.address else "",
        port=request.port,
        action=verdict.action.value,
        rule=verdict.rule,
        reason=verdict.reason,
        mode=verdict.mode.value,
        source=str(verdict.source),
        policy=digest,
        last_time_s=request.time_s,
    )
