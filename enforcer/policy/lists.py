"""Domain lists as others publish them: hosts files, one name a line, AdBlock filters.

Text in, a NameList out: load reads the file. The forms may be mixed:

- ``0.0.0.0 name ...`` (hosts): those names, nothing below them;
- ``name``, ``*.name``, ``||name^``: the name and everything below it;
- ``#`` and ``!`` begin a comment.

What a line means is never guessed: any other line is rejected, with its number and why.
A million names are read in well under a second, so pieces that have one form throughout
are judged and cut as wholes, and only others line by line.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from enforcer.policy.name_table import NameTable
from enforcer.policy.names import MAX_LABEL_BYTES, parse_host

# Of rejected lines the first are kept, all are counted.
MAX_REJECTED = 20
_SHOWN_CHARS = 80
# Longer than any line that says something: a file that is no list may be all one line.
MAX_LINE_BYTES = 4096
# A piece of this size keeps each call into C far below a millisecond.
PIECE_BYTES = 32 * 1024

# The names that a hosts file has for the machine itself; "0.0.0.0 0.0.0.0" is usual too.
_OWN_NAMES = frozenset(
    (
        "localhost",
        "localhost.localdomain",
        "local",
        "broadcasthost",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-localnet",
        "ip6-mcastprefix",
        "ip6-allnodes",
        "ip6-allrouters",
        "ip6-allhosts",
        "0.0.0.0",  # noqa: S104 a name here
    )
)
_OWN_LINES = frozenset(f"{name}\n" for name in _OWN_NAMES)
_HOSTS_LINE = re.compile(r"([0-9.]+|[0-9a-f:%]*:[0-9a-z:.%]*)[ \t]+(.*)")
_ADBLOCK_LINE = re.compile(r"\|\|([^/^$|*]+)\^")
_CONFIGURATION = re.compile(r"(?:address|server|local)=/|(?:local-(?:zone|data)|server):")
_LAST_LABEL_IS_A_NUMBER = re.compile(r"(?:^|\.)[0-9]+$")
_SAYS_NOTHING = re.compile(rb"^(?:[#!].*)?\n", re.MULTILINE)
# Shorter than what parse_host looks at twice.
_PLAIN_NAME = re.compile(r"(?=.{1,63}$)(?:[a-z0-9_-]+\.)*[a-z_-][a-z0-9_-]*")
# What a byte is to the quick check: of a name, a digit, what ends a label or a line, other.
_SHAPE = bytearray(b"?" * 256)
for _kind, _bytes in {
    "a": b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_",
    "0": b"0123456789",
    ".": b".",
    "\n": b"\n",
}.items():
    for _byte in _bytes:
        _SHAPE[_byte] = ord(_kind)
_LABEL_ENDS = bytes.maketrans(b"\n", b".")


class Rejected(NamedTuple):
    """A line that says nothing that a list can say."""

    line: int
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class NameList:
    """One list: ``exact`` names alone, ``suffix`` with all below, ``below`` without themselves."""

    path: str
    exact: NameTable
    suffix: NameTable
    below: NameTable
    entries: int
    rejected: tuple[Rejected, ...] = ()
    rejected_count: int = 0


class Rejections:
    """Rejected lines: the first few as they are, the others as a number."""

    def __init__(self) -> None:
        self.kept: list[Rejected] = []
        self.count = 0

    def add(self, line: int, text: str, why: str) -> None:
        self.count += 1
        if len(self.kept) < MAX_REJECTED:
            self.kept.append(Rejected(line, text[:_SHOWN_CHARS], why))


def load_list(path: str, content: Iterable[bytes], size_bytes: int = 0) -> NameList:
    """A list from the content of its file, in chunks of any size.

    ``size_bytes`` is how long the file is, as far as is known. Never raises for what a
    line says; a list may have no entry at all, and whoever reads it says what that means.
    """
    reader = _Reader(path, size_bytes)
    for piece in cut_pieces(content):
        reader.read(piece)
    return reader.done()


def cut_pieces(content: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines with their ends, some PIECE_BYTES at a time.

    A line of more than MAX_LINE_BYTES, which no list has, comes out cut.
    """
    rest = b""
    for chunk in content:
        for start in range(0, len(chunk), PIECE_BYTES):
            piece = rest + chunk[start : start + PIECE_BYTES]
            end = piece.rfind(b"\n") + 1
            rest = piece[end:]
            if len(rest) > MAX_LINE_BYTES:
                end, rest = len(piece), b""
                piece += b"\n"
            if end:
                yield piece[:end] if rest else piece
    if rest:
        yield rest + b"\n"


class _Form(NamedTuple):
    """What stands before and after the name, where every line of a piece has it."""

    before: bytes
    after: bytes
    exact: bool


_NAME = _Form(b"", b"\n", exact=False)
_FORMS = (
    _Form(b"0.0.0.0 ", b"\n", exact=True),
    _Form(b"127.0.0.1 ", b"\n", exact=True),
    _Form(b"||", b"^\n", exact=False),
    _Form(b"*.", b"\n", exact=False),
)


class _Reader:
    def __init__(self, path: str, size_bytes: int) -> None:
        self._path = path
        self._exact = NameTable(size_bytes)
        self._suffix = NameTable(size_bytes)
        self._rejections = Rejections()
        self._line = 0

    def done(self) -> NameList:
        return NameList(
            path=self._path,
            exact=self._exact,
            suffix=self._suffix,
            below=NameTable(),
            entries=len(self._exact) + len(self._suffix),
            rejected=tuple(self._rejections.kept),
            rejected_count=self._rejections.count,
        )

    def read(self, piece: bytes) -> None:
        """Whole lines."""
        count = piece.count(b"\n")
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n")
        if not (self._read_uniform(piece) or self._read_uniform(_SAYS_NOTHING.sub(b"", piece))):
            # Not splitlines: a form feed or U+2028 inside a line does not end it.
            lines = piece.split(b"\n")
            for number, line in enumerate(lines[:-1], self._line + 1):
                self._read_line(number, line)
        self._line += count

    def _read_uniform(self, piece: bytes) -> bool:
        """Read a piece whose lines have one form and plain names; of any other, nothing."""
        count = piece.count(b"\n")
        form = next((form for form in _FORMS if piece.startswith(form.before)), _NAME)
        if form is not _NAME:
            lines_of_form = (b"\n" + piece).count(b"\n" + form.before)
            if lines_of_form != count or piece.count(form.after) != count:
                return False
            piece = (b"\n" + piece).replace(b"\n" + form.before, b"\n")[1:]
            piece = piece.replace(form.after, b"\n")
        lines = plain_lines(piece)
        if lines is None or (form.exact and not _OWN_LINES.isdisjoint(lines)):
            return False
        (self._exact if form.exact else self._suffix).add_lines(lines)
        return True

    def _read_line(self, number: int, line: bytes) -> None:
        try:
            text = line.decode().lower().strip()
        except UnicodeDecodeError:
            self._reject(number, line.decode(errors="replace"), "it is not UTF-8 text")
            return
        if not text or text[0] in "#!":
            return
        said = re.split(r"\s#", text, maxsplit=1)[0].rstrip()
        try:
            if _PLAIN_NAME.fullmatch(said):
                self._suffix.add_lines([said + "\n"])
            elif hosts := _HOSTS_LINE.fullmatch(said):
                self._exact.add(_names_of_hosts(hosts[1], hosts[2]))
            elif filter_ := _ADBLOCK_LINE.fullmatch(said):
                self._suffix.add([_parse_name(filter_[1])])
            else:
                self._suffix.add([_parse_name(said.removeprefix("*."))])
        except ValueError as error:
            self._reject(number, text, _why(said, str(error)))

    def _reject(self, number: int, text: str, why: str) -> None:
        self._rejections.add(number, text, why)


def plain_lines(piece: bytes) -> list[str] | None:
    """The lines of a piece in lower case, each with its end, if each is a plain host name.

    Plain is what needs no second look; None says that some line does.
    """
    shape = piece.translate(_SHAPE)
    # Anything unusual, a name that ends as an address does, an empty label or line.
    if b"?" in shape or b"0\n" in shape or b".." in b"." + shape.translate(_LABEL_ENDS):
        return None
    lines = piece.decode("ascii").lower().splitlines(keepends=True)
    # No label is longer than its line.
    return lines if max(map(len, lines), default=0) <= MAX_LABEL_BYTES + 1 else None


def _names_of_hosts(address: str, names: str) -> list[str]:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        raise ValueError(f"{address} is no address") from None
    own = found.is_unspecified or found.is_loopback
    told = [name for name in names.split() if name not in _OWN_NAMES]
    if told and not own:
        raise ValueError(f"{address} is an address that answers: not a name to be blocked")
    return [_parse_name(name) for name in told]


def _parse_name(text: str) -> str:
    if _PLAIN_NAME.fullmatch(text):
        return text
    name = parse_host(text)
    if _LAST_LABEL_IS_A_NUMBER.search(name):
        raise ValueError("an address is no name; match it under addresses")
    return name


def _why(said: str, error: str) -> str:
    if _CONFIGURATION.match(said):
        return "configuration of dnsmasq or unbound; a list has the names alone"
    if said.startswith("@@"):
        return "an exception; write a rule that allows the name instead"
    if said.startswith(("||", "|", "/")) or "##" in said or "$" in said:
        return "an AdBlock filter of more than a name: only ||name^ is understood"
    return error.partition("; ")[0]
