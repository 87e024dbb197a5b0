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
    """Lines to stdout, as far as somebody reads them; how many."""
    written = 0
    try:
        for line in lines:
            written += 1
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # `| head` has seen enough. What is still buffered goes nowhere, without a word.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
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
