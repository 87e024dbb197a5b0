"""The copy of a transferred zone: a zone file, one record a line, written whole or not at all.

Owners are relative to the zone, which is what policy zones are read fastest from. The SOA
comes first. An incremental transfer is a list of lines to take out and to put in, so
that no zone is ever held in memory.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

# More than any policy zone; a primary that sends without end does not fill the disk.
MAX_BYTES = 2 * 1024**3
# Owner, TTL, type, two names, and five numbers.
_SOA_WORDS = 10


class CopyError(Exception):
    """The copy is not what the primary takes it for, or would not be a zone."""


class Soa(NamedTuple):
    """Serial and timers of a zone (RFC 1035 3.3.13)."""

    serial: int
    refresh_s: int
    retry_s: int
    expire_s: int


Key = tuple[str, str]


class Line(NamedTuple):
    """A record as text: an owner relative to the zone, ``@`` for its apex."""

    owner: str
    ttl_s: int
    data: str

    @property
    def key(self) -> Key:
        """What makes it this record; the TTL does not (RFC 2181 5)."""
        return self.owner, self.data

    def __str__(self) -> str:
        return f"{self.owner} {self.ttl_s} {self.data}\n"


class Changes:
    """What several steps of an incremental transfer come to in all (RFC 1995 4)."""

    def __init__(self) -> None:
        # None for a record that is gone in the end.
        self._last: dict[Key, Line | None] = {}
        self._expected: set[Key] = set()

    def __len__(self) -> int:
        return len(self._last)

    def remove(self, line: Line) -> None:
        if line.key not in self._last:
            self._expected.add(line.key)
        self._last[line.key] = None

    def add(self, line: Line) -> None:
        self._last[line.key] = line

    def apply(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The lines of the new zone. CopyError when one that is to go is not there."""
        missing = set(self._expected)
        for line in lines:
            if line.key in self._last:
                missing.discard(line.key)
            else:
                yield line
        if missing:
            raise CopyError(f"{len(missing)} records that were to go were not in the copy")
        yield from (line for line in self._last.values() if line)


def read_soa(path: Path) -> Soa | None:
    """The SOA of a copy; None when there is none that was written here."""
    try:
        with path.open(encoding="ascii") as file:
            for _, line in zip(range(4), file, strict=False):
                words = line.split()
                if len(words) == _SOA_WORDS and words[0] == "@" and words[2] == "SOA":
                    return Soa(*map(int, words[5:9]))
    except (OSError, ValueError):
        pass
    return None


def read_lines(path: Path) -> Iterator[Line]:
    """The records of a copy but its SOA. Raises OSError or CopyError."""
    with path.open(encoding="ascii") as file:
        for text in file:
            if text.startswith(("$", ";")):
                continue
            words = text.rstrip("\n").split(" ", 2)
            if len(words) != len(Line._fields) or not words[1].isdecimal():
                raise CopyError("the copy was changed by somebody else")
            line = Line(words[0], int(words[1]), words[2])
            if not (line.owner == "@" and line.data.startswith("SOA ")):
                yield line


def write_zone(path: Path, zone: str, lines: Iterable[Line]) -> int:
    """Write a zone beside ``path``, then put it in its place; how many records it has.

    Whatever raises, the old copy stays. Raises OSError, CopyError, and what ``lines`` does.
    """
    beside = path.with_name(f".{path.name}.incoming")
    try:
        with beside.open("w", encoding="ascii") as file:
            count = _write(file, zone, lines)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return count


def _write(file: TextIO, zone: str, lines: Iterable[Line]) -> int:
    size = file.write(f"; Written by enforcer at each transfer.\n$ORIGIN {zone}.\n")
    count = 0
    for line in lines:
        count += 1
        size += file.write(str(line))
        if size > MAX_BYTES:
            raise CopyError(f"the zone is larger than {MAX_BYTES} bytes")
    return count
