"""The names that are asked for, and the list of a million: seeded, so the same everywhere."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

# The upstream's zone. Nothing here is one of RFC 6761's names, which resolvers answer alone.
ZONE = "bench.example"
HIT = f"hit.{ZONE}"
MISS = f"miss.{ZONE}"
# The reload takes one off the list and puts the other on.
REMOVED = f"removed.{HIT}"
ADDED = f"added.{HIT}"

LIST_LENGTH = 1_000_000
ASKED_OF_LIST = 20_000
HITS = 1_000
_SEED = 4
_SYLLABLES = tuple(
    consonant + vowel + end
    for consonant in ("b", "c", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "tr")
    for vowel in "aeiou"
    for end in ("", "", "n", "r", "s", "x")
)
_SUFFIXES = ("com", "com", "com", "net", "org", "info", "xyz", "top", "co.uk", "com.br", "online")
_HOSTS = ("", "", "", "www.", "ads.", "cdn.", "track.", "static.", "metrics.", "x1.")


def generate_names(length: int) -> list[str]:
    """Distinct names as blocklists have them: 22 characters on average."""
    draw = random.Random(_SEED)
    names: dict[str, None] = {}
    while len(names) < length:
        parts = draw.choices(_SYLLABLES, k=draw.randint(3, 7))
        digits = str(draw.randint(1, 999)) if draw.random() < 0.5 else ""
        name = f"{draw.choice(_HOSTS)}{''.join(parts)}{digits}.{draw.choice(_SUFFIXES)}"
        names[name] = None
    return list(names)


class Names:
    """The list, and a file of queries for each case, made once and kept in ``folder``."""

    def __init__(self, folder: Path, length: int = LIST_LENGTH) -> None:
        self._folder = folder
        self._length = length
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def list_file(self) -> Path:
        """One name a line, ``REMOVED`` the last."""
        path = self._folder / f"list-{self._length}.txt"
        if not path.exists():
            _write(path, (*generate_names(self._length - 1), REMOVED))
        return path

    def listed(self) -> list[str]:
        return self.list_file.read_text(encoding="ascii").splitlines()

    def sample(self) -> list[str]:
        listed = self.listed()
        return random.Random(_SEED).sample(listed, min(ASKED_OF_LIST, len(listed)))

    def queries(self, name: str, asked: Iterable[str], qtype: str = "A") -> Path:
        """A file as dnsperf reads it."""
        path = self._folder / f"{name}.queries"
        _write(path, (f"{host} {qtype}" for host in asked))
        return path


def hits() -> list[str]:
    return [f"n{number}.{HIT}" for number in range(HITS)]


def misses(series: str, length: int) -> Iterator[str]:
    """Names that nobody has asked for before, if nobody used the series before."""
    return (f"{series}-{number}.{MISS}" for number in range(length))


def _write(path: Path, lines: Iterable[str]) -> None:
    part = path.with_suffix(".part")
    with part.open("w", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in lines)
    part.replace(path)
