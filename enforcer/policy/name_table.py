"""Names by the million, of which one asks only whether a name is among them.

A set would take 115 bytes a name; here it is the name itself and about a dozen more. The
names stand one a line in buckets chosen by hash, each bucket one string, and to look
for a name is to look for its line in one bucket. Each call into C is short, since a table
is filled in a thread while the loop serves.
"""

import weakref
from collections.abc import Iterable, Iterator

# Of names to a bucket: on average half as many to twice as many. More are slower to look
# through, fewer pay more for the string around them.
_FULL = 24
_GROWTH = 4
_FEWEST_BUCKETS = 16
# What a line of a list has on average, to make room at once for a file of known size.
_LINE_BYTES = 23


# Few enough that no other thread notices.
_FREED_AT_ONCE = 256


class NameTable:
    """A set of folded text names (see names.fold), filled once and then only asked."""

    __slots__ = ("__weakref__", "_buckets", "_mask", "_room", "_size")

    def __init__(self, expected_bytes: int = 0) -> None:
        """``expected_bytes`` is about how long all names are together; less is only slower."""
        buckets = _FEWEST_BUCKETS
        while buckets * _FULL * _LINE_BYTES < expected_bytes:
            buckets *= 2
        self._size = 0
        self._make_room(["\n"] * buckets)

    def __contains__(self, name: str) -> bool:
        line = name + "\n"
        return "\n" + line in self._buckets[hash(line) & self._mask]

    def __len__(self) -> int:
        """How many lines were added, doubles among them."""
        return self._size

    def __iter__(self) -> Iterator[str]:
        for bucket in self._buckets:
            yield from bucket.splitlines()[1:]

    def holds_any(self, lines: Iterable[str]) -> bool:
        """Whether one of these names is among them; each ends in a newline."""
        buckets, mask = self._buckets, self._mask
        return any("\n" + line in buckets[hash(line) & mask] for line in lines)

    def add(self, names: Iterable[str]) -> None:
        self.add_lines([name + "\n" for name in names])

    def add_lines(self, lines: list[str]) -> None:
        """Names that each end in a newline: a piece of text as ``splitlines(True)`` cuts it."""
        self._size += len(lines)
        while self._size > self._room:
            self._grow()
        buckets, mask = self._buckets, self._mask
        for line in lines:
            buckets[hash(line) & mask] += line

    def _grow(self) -> None:
        """Each bucket into several, by more bits of the same hash."""
        old, steps = self._buckets, range(0, len(self._buckets) * _GROWTH, len(self._buckets))
        mask = len(old) * _GROWTH - 1
        new = ["\n"] * (mask + 1)
        for at, bucket in enumerate(old):
            old[at] = ""
            parts: dict[int, list[str]] = {at + step: ["\n"] for step in steps}
            for line in bucket.splitlines(keepends=True)[1:]:
                parts[hash(line) & mask].append(line)
            for place, part in parts.items():
                new[place] = "".join(part)
        self._make_room(new)

    def _make_room(self, buckets: list[str]) -> None:
        self._buckets = buckets
        self._mask = len(buckets) - 1
        self._room = len(buckets) * _FULL

    def remains(self) -> "Remains":
        return Remains(weakref.ref(self), self._buckets)


class Remains:
    """What a table leaves behind, kept when the table goes, to be freed piece by piece.

    Freed as one, a million names would hold up every thread for many milliseconds.
    """

    def __init__(self, table: weakref.ref[NameTable], buckets: list[str]) -> None:
        self._table = table
        self._buckets = buckets

    def let_go(self) -> bool:
        """Free it, once nobody asks the table any more; whether that is done."""
        if self._table() is not None:
            return False
        while self._buckets:
            del self._buckets[-_FREED_AT_ONCE:]
        return True
