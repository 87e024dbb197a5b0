"""Answers to stdout, complaints to stderr, and the exit code."""

import json
import os

import pytest
import typer

from enforcer.terminal import coloured, complain, fail, print_json, write_lines, write_text


def test_lines_are_counted_as_they_are_written(capsys):
    assert write_lines(f"line {n}" for n in range(3)) == 3

    assert capsys.readouterr().out == "line 0\nline 1\nline 2\n"


def test_a_reader_who_has_seen_enough_is_no_failure(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as pipe:  # noqa: PTH123 a descriptor
        monkeypatch.setattr("sys.stdout", pipe)

        assert write_lines(["x" * 80] * 100_000) < 100_000
        assert write_lines(["more"]) == 1


def test_text_is_escaped_line_by_line(capsys):
    write_text("first\n\x1b[2J\u2028second")

    assert capsys.readouterr().out == "first\n\\x1b[2J\\u2028second\n"


def test_json_is_for_a_strict_reader(capsys):
    print_json({"name": "ü"})

    assert json.loads(capsys.readouterr().out) == {"name": "ü"}


def test_complaints_go_to_stderr_in_escapes(capsys):
    complain("warning", ["one", ValueError("two\n\x1b")])

    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err == "warning: one\nwarning: two\\n\\x1b\n"


def test_a_failure_has_its_exit_code(capsys):
    with pytest.raises(typer.Exit) as raised:
        fail("it cannot be", 2)

    assert raised.value.exit_code == 2
    assert capsys.readouterr().err == "error: it cannot be\n"


@pytest.mark.parametrize(
    ("action", "colour"), [("allow", "32"), ("block", "31"), ("monitor", "33")]
)
def test_an_action_has_its_colour_at_a_terminal(action, colour, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    assert f"\x1b[{colour}m" in coloured(action)


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")

    assert coloured("block") == "block"


def test_a_pipe_gets_no_colour(capsys):
    assert coloured("block") == "block"
