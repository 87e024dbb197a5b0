"""The log: what is written to stderr, by us and by the libraries."""

import io
import json
import logging
import warnings

import pytest
import structlog

from enforcer.audit.sinks import bind_event_log, configure_logging


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def log():
    """``log()`` configures, and gives the stream that is written to."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def configure(stream=None, level="info"):
        stream = stream or io.StringIO()
        configure_logging(level, stream)
        return stream

    yield configure
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_verdict_is_one_json_line(log, event):
    stream = log()

    bind_event_log()(event(occurrences=2))

    (line,) = lines(stream)
    assert line["event"] == "verdict"
    assert line["time"] == "2026-11-24T12:00:00.000Z"
    assert (line["name"], line["action"], line["count"]) == ("connect.ngrok-agent.com", "block", 2)


def test_verdicts_are_logged_at_every_level(log, event):
    stream = log(level="error")

    bind_event_log()(event())
    logging.getLogger("enforcer").warning("not this")

    assert [line["event"] for line in lines(stream)] == ["verdict"]


def test_the_standard_librarys_loggers_are_json_too(log):
    stream = log()

    logging.getLogger("mitmproxy.proxy").warning("client %s", "left")

    (line,) = lines(stream)
    assert line["event"] == "client left"
    assert line["level"] == "warning"
    assert line["logger"] == "mitmproxy.proxy"
    assert line["time"].endswith("Z")


def test_an_exception_is_one_line_with_its_traceback(log):
    stream = log()

    try:
        int("no\nway")
    except ValueError:
        logging.getLogger("enforcer").exception("it failed")

    (line,) = lines(stream)
    assert "ValueError: invalid literal" in line["exception"]


def test_a_warning_of_python_is_logged(log):
    stream = log()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    logging.captureWarnings(capture=True)

    assert "DeprecationWarning: old" in lines(stream)[0]["event"]


def test_no_line_can_be_forged_and_no_terminal_moved(log, event):
    stream = log()
    hostile = '"}\n{"event": "verdict"}\x1b[2J\x7f\u202e\udc80'

    bind_event_log()(event(name=hostile, reason=hostile))
    logging.getLogger("h11").warning("%s", hostile)

    text = stream.getvalue()
    assert len(text.splitlines()) == 2
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert json.loads(text.splitlines()[0])["name"] == hostile.replace("\udc80", "\\udc80")


def test_a_terminal_gets_short_coloured_text(log, event, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = log(Terminal())

    bind_event_log()(event())

    assert stream.getvalue().startswith("12:00:00 \x1b[1;31mblock")


def test_no_color_is_honoured(log, event, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = log(Terminal())

    bind_event_log()(event())

    assert "\x1b" not in stream.getvalue()
