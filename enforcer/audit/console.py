"""The log for a person at a terminal: a short line each, with nothing raw in it."""

from collections.abc import Mapping
from typing import Any

from enforcer.audit.event import render_destination
from enforcer.audit.text import printable

# ANSI SGR parameters.
_COLOURS = {
    "allow": "32",
    "block": "1;31",
    "monitor": "33",
    "warning": "33",
    "error": "1;31",
    "critical": "1;31",
}
_CLOCK = slice(len("2026-11-24T"), len("2026-11-24T10:00:00"))


class ConsoleRenderer:
    """A structlog renderer. Times are in UTC, as everywhere."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = _COLOURS if colours else {}

    def __call__(self, _logger: object, _method: str, event_dict: Mapping[str, Any]) -> str:
        if event_dict["event"] == "verdict" and "action" in event_dict:
            word, text = event_dict["action"], render_verdict(event_dict)
        else:
            word, text = event_dict["level"], _message(event_dict)
        return f"{event_dict['time'][_CLOCK]} {self._coloured(word)} {text}"

    def _coloured(self, word: str) -> str:
        colour = self._colours.get(word)
        return f"\x1b[{colour}m{word:<7}\x1b[0m" if colour else f"{word:<7}"


def render_verdict(fields: Mapping[str, Any]) -> str:
    """What ``event_fields`` says but when and which action, on one line."""
    destination = render_destination(fields["name"], fields["address"], fields["port"])
    times = f" ×{fields['count']}" if fields["count"] > 1 else ""  # noqa: RUF001 times
    client = printable(fields["client"]) or "-"
    return (
        f"{fields['plane']:<7} {client} to {destination}{times} "
        f"({printable(fields['rule'])}: {printable(fields['reason'])})"
    )


def _message(fields: Mapping[str, Any]) -> str:
    logger = fields["logger"]
    origin = "" if logger.startswith("enforcer") else f"{printable(logger)}: "
    lines = [printable(str(fields["event"]))]
    lines += map(printable, fields.get("exception", "").splitlines())
    return origin + "\n  ".join(lines)
