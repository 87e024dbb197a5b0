"""Events as a table for a person at a terminal; programs get JSON.

Everything that a client chose is escaped, and given to rich as Text, which reads no
markup.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich import box
from rich.table import Table
from rich.text import Text

from enforcer.audit.event import AuditEvent, render_destination
from enforcer.audit.text import printable

_STYLES = {"allow": "green", "block": "bold red", "monitor": "yellow"}
# An IPv6 address folds into two or three lines, so that names keep their room.
_CLIENT_WIDTH = 15


def render_table(events: Iterable[AuditEvent]) -> Table:
    """One row an event, and one for each new day. Made to be read at 80 columns and more."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("time (UTC)", no_wrap=True)
    table.add_column("action", no_wrap=True)
    table.add_column("plane", no_wrap=True)
    table.add_column("client", overflow="fold", max_width=_CLIENT_WIDTH)
    table.add_column("destination, rule and reason", overflow="fold")
    day = ""
    for event in events:
        # As they are ordered; of folded events, when the last of them was.
        time = datetime.fromtimestamp(event.last_time_s, UTC)
        if day != (day := f"{time:%Y-%m-%d}"):
            table.add_row(Text(day, "bold"))
        table.add_row(
            f"{time:%H:%M:%S}",
            Text(printable(event.action), _STYLES.get(event.action, "")),
            Text(printable(event.plane)),
            Text(printable(event.client)),
            Text.assemble(_destination(event), "\n", (_why(event), "dim")),
        )
    return table


def _destination(event: AuditEvent) -> str:
    times = f" ×{event.occurrences}" if event.occurrences > 1 else ""  # noqa: RUF001 times
    first, last = (
        f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S}"
        for time_s in (event.time_s, event.last_time_s)
    )
    since = f" since {first}" if first != last else ""
    return render_destination(event.name, event.address, event.port) + times + since


def _why(event: AuditEvent) -> str:
    return f"{printable(event.rule)}: {printable(event.reason)}"
