"""Events as a table for a person at a terminal."""

import io

import pytest
from rich.console import Console

from enforcer.audit.table import render_table


@pytest.fixture
def shown():
    def show(*events, width=100, colours=False):
        file = io.StringIO()
        console = Console(
            file=file,
            width=width,
            force_terminal=colours,
            color_system="standard" if colours else None,
        )
        console.print(render_table(events))
        return file.getvalue()

    return show


def test_a_row_says_when_what_who_where_and_why(shown, event):
    text = shown(event(port=443, address="192.0.2.9"))

    for part in (
        "2026-11-24",
        "12:00:00",
        "block",
        "dns",
        "192.0.2.7",
        "connect.ngrok-agent.com (192.0.2.9) port 443",
        "ngrok-connect: ngrok's default ingress is closed here",
    ):
        assert part in text


def test_a_new_day_has_a_row_of_its_own(shown, event):
    text = shown(event(), event(at=60), event(at=86_400))

    assert text.count("2026-11-24") == 1
    assert text.count("2026-11-25") == 1


def test_folded_events_say_how_many(shown, event):
    assert "×12" in shown(event(occurrences=12))  # noqa: RUF001 times
    assert "×" not in shown(event())  # noqa: RUF001 times


def test_folded_events_have_the_time_that_they_are_ordered_by_and_the_first(shown, event):
    text = shown(event(occurrences=12, last_time_s=event(at=60).time_s))

    assert "12:01:00" in text
    assert "×12 since 2026-11-24 12:00:00" in text  # noqa: RUF001 times
    assert "since" not in shown(event(occurrences=12, last_time_s=event(at=0.9).time_s))


def test_nothing_that_a_client_chose_reaches_the_terminal(shown, event):
    hostile = "\x1b[2J\u202e[red]x[/red]\n"
    text = shown(
        event(name=hostile, client=hostile, reason=hostile, rule=hostile, action=hostile), width=300
    )

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[2J\\u202e[red]x[/red]\\n" in text


def test_the_action_is_coloured(shown, event):
    assert "\x1b[1;31mblock" in shown(event(), colours=True)
    assert "\x1b[32mallow" in shown(event(action="allow"), colours=True)


def test_a_long_name_is_folded_and_not_cut(shown, event):
    name = ".".join(["a" * 60] * 3) + ".example"

    text = shown(event(name=name), width=80)

    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "".join(text.split()).count("a") >= 180
