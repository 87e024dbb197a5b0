"""The log: what the process has to say, on stderr, a line each.

JSON for machines, short text when stderr is a terminal. structlog renders all of it,
what the standard library's loggers send (mitmproxy, uvicorn, asyncio) too. In neither
form can text from the network break a line or move a cursor.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from enforcer.audit.console import ConsoleRenderer
from enforcer.audit.event import AuditEvent, event_fields, render_time
from enforcer.audit.text import well_formed

# Made once: with an argument of its own json.dumps makes an encoder for each call.
_encode = json.JSONEncoder(default=repr).encode


def configure_logging(level: str = "info", stream: TextIO | None = None) -> None:
    """For the whole process, once at its start. Verdicts are logged at every level."""
    stream = stream or sys.stderr
    render: Processor = render_json
    if stream.isatty():
        # https://no-color.org
        render = ConsoleRenderer(colours=not os.environ.get("NO_COLOR"))
    structlog.configure(
        processors=[render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                _add_time,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(capture=True)


def bind_event_log() -> Callable[[AuditEvent], None]:
    """What writes one line for an event, and all that were folded into it.

    Bound to the logging that is configured now: to bind it for each line would take
    longer than to write the line.
    """
    info = structlog.get_logger().bind().info

    def log_event(event: AuditEvent) -> None:
        info("verdict", **event_fields(event))

    return log_event


def render_json(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> str:
    """ASCII only: json escapes all controls but DEL."""
    line = _encode(
        {
            key: well_formed(value) if isinstance(value, str) else value
            for key, value in event_dict.items()
        }
    )
    return line.replace("\x7f", "\\u007f")


def _add_time(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    return {"time": render_time(event_dict["_record"].created), **event_dict}
