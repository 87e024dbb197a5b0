"""The log for a person at a terminal."""

import pytest

from enforcer.audit.console import ConsoleRenderer
from enforcer.audit.event import event_fields

TIME = "2026-11-24T12:00:00.000Z"


@pytest.fixture
def render():
    def show(colours=False, **fields):
        return ConsoleRenderer(colours=colours)(None, "info", {"time": TIME, **fields})

    return show


def test_a_verdict_is_one_short_line(render, event):
    assert render(event="verdict", **event_fields(event())) == (
        "12:00:00 block   dns     192.0.2.7 to connect.ngrok-agent.com "
        "(ngrok-connect: ngrok's default ingress is closed here)"
    )


def test_a_verdict_on_nobody_has_a_dash(render, event):
    assert " - to " in render(event="verdict", **event_fields(event(client="")))


def test_a_message_has_its_level_and_whose_it_is(render):
    ours = render(event="policy reloaded", level="info", logger="enforcer.reload")
    theirs = render(event="bad", level="warning", logger="mitmproxy.proxy")

    assert ours == "12:00:00 info    policy reloaded"
    assert theirs == "12:00:00 warning mitmproxy.proxy: bad"


def test_an_exception_is_indented_below_its_message(render):
    text = render(event="no", level="error", logger="enforcer", exception="Traceback\n  File x")

    assert text.splitlines() == ["12:00:00 error   no", "  Traceback", "    File x"]


def test_colours_only_where_they_are_wanted(render, event):
    fields = event_fields(event())

    assert "\x1b[1;31mblock  \x1b[0m" in render(colours=True, event="verdict", **fields)
    assert "\x1b" not in render(event="verdict", **fields)


def test_nothing_raw_comes_through(render, event):
    hostile = "\x1b[2J\n\u202e"
    fields = event_fields(event(name=hostile, client=hostile, reason=hostile, rule=hostile))

    for text in (
        render(event="verdict", **fields),
        render(event=hostile, level="info", logger=hostile),
    ):
        assert text.isprintable()
