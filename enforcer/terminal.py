"""What the commands say: answers to stdout, complaints to stderr, and the exit code."""

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import typer

from enforcer.audit.text import printable

_COLOURS = {"allow": "green", "block": "red", "monitor": "yellow"}


def write_lines(lines: Iterable[str]) -> int:
    """Lines to stdout, with one flush, so that a closed pipe is met while typer watches."""
    written = 0
    for line in lines:
        sys.stdout.write(f"{line}\n")
        written += 1
    sys.stdout.flush()
    return written


def write_text(text: str) -> None:
    """Text with what others chose in it: each of its lines is escaped."""
    write_lines(map(printable, text.split("\n")))


def print_json(value: Any) -> None:
    write_lines([json.dumps(value, indent=2)])


def coloured(action: str) -> str:
    # https://no-color.org
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        return typer.style(action, fg=_COLOURS[action], bold=True)
    return action


def complain(severity: str, problems: Iterable[object]) -> None:
    for problem in problems:
        typer.echo(f"{severity}: {printable(str(problem))}", err=True)


def fail(message: str, code: int) -> NoReturn:
    complain("error", [message])
    raise typer.Exit(code)
