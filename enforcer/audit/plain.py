"""Events as plain text, a line each: what ``enforcer audit`` writes into a pipe or a file."""

from enforcer.audit.console import render_verdict
from enforcer.audit.event import AuditEvent, event_fields, render_time


def render_line(event: AuditEvent) -> str:
    """When, what, and the rest as the log at a terminal has it. Nothing raw is in it.

    Of folded events it is when the last of them was, as they are ordered.
    """
    when, first = render_time(event.last_time_s), render_time(event.time_s)
    since = f" since {first}" if first != when else ""
    return f"{when} {event.action:<7} {render_verdict(event_fields(event))}{since}"
