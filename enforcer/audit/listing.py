"""What ``enforcer audit`` lists: the words of a command line, as a question to the store."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from enforcer.audit.event import AuditEvent, render_time
from enforcer.audit.query import Filter, query

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# The default of audit.flush_interval_ms, which a command without settings does not read.
_SOON = "what happens is written within a second, or what audit.flush_interval_ms says"
_AGO = re.compile(r"([0-9]{1,9})([smhdw])")


def list_events(
    path: Path,
    *,
    now_s: float,
    since: str | None = None,
    client: str | None = None,
    name: str | None = None,
    action: str | None = None,
    plane: str | None = None,
    rule: str | None = None,
    limit: int | None = None,
) -> Iterator[AuditEvent]:
    """The events, newest last, read as they are asked for: a store may be large.

    Raises ValueError at once for words that mean nothing, and AuditStoreError from the
    first step of the iterator for a store that cannot be read.
    """
    wanted = Filter(
        since_s=None if since is None else parse_since(since, now_s),
        client=client,
        name=name,
        action=action,
        plane=plane,
        rule=rule,
        limit=limit,
    )
    return query(path, wanted)


def explain_nothing(path: Path, *, now_s: float, since: str | None = None) -> str:
    """Why no event was listed, for who had hoped for one. Raises AuditStoreError."""
    if since is not None and parse_since(since, now_s) > now_s:
        return f"nothing on record fits; {since} is in the future"
    newest = next(query(path, Filter(limit=1)), None)
    if newest is None:
        return (
            f"nothing is on record yet in {path}; what is blocked, monitored or touches a "
            f"Connect URL will be, plain allows are not recorded; {_SOON}"
        )
    return (
        f"nothing on record fits; the newest event in {path} is of "
        f"{render_time(newest.last_time_s)}, so ask for a longer time or with fewer options; "
        f"{_SOON}"
    )


def parse_since(text: str, now_s: float) -> float:
    """Seconds since the epoch of ``1h``, ``30m``, ``7d`` ago, or of an RFC 3339 time.

    Raises ValueError with a sentence.
    """
    if ago := _AGO.fullmatch(text.strip().lower()):
        # Not before 1970: a time before every event, whatever the units.
        return max(0.0, now_s - int(ago[1]) * _UNITS_S[ago[2]])
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time; write 30m, 1h or 7d, or a time such as 2026-11-24T10:00:00Z"
        ) from None
    if time.tzinfo is None:
        raise ValueError(f"{text!r} does not say its zone; write {time.isoformat()}Z for UTC")
    return time.timestamp()
