"""A zone file (RFC 1035 5) line by line: records with their lines, one fault at a time.

dnspython reads the records; what goes over several lines is put together here, since its
own reader gives up the whole file at the first fault. Knows nothing of what records mean.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from enforcer.policy.model import LocalRecord
from enforcer.policy.names import MAX_WIRE_BYTES, from_wire

# Of one record, with all lines that its parentheses hold.
MAX_RECORD_BYTES = 128 * 1024
# How long answers are kept where the zone does not say.
DEFAULT_TTL_S = 60
_SHOWN_CHARS = 80
# The origin of a zone that does not say its name: what is relative to it is a trigger.
_UNNAMED = "zone-without-a-name.invalid"
_NAME = r"(?:[a-z0-9_*-]{1,63}\.)*[a-z0-9_*-]{1,63}\.?"
_SIMPLE = re.compile(
    rf"({_NAME})[ \t]+(?:[0-9]+[ \t]+)?(?:IN[ \t]+)?CNAME[ \t]+(\.|{_NAME})[ \t]*(?:;.*)?".encode(),
    re.IGNORECASE,
)
_MARKS = re.compile(rb'\\.|"|;|\(|\)', re.DOTALL)
_NUMBER = re.compile(r"[0-9]")
_CLASSES = frozenset({"IN", "CH", "HS", "CS", "ANY"})


class Record(NamedTuple):
    """One record. ``owner`` is relative to the zone, "" for the zone's own name.

    ``target`` is where a CNAME leads to; ``data`` is any other record. ``fault`` says what
    is wrong with a record that could not be read.
    """

    line: int
    text: str
    owner: str = ""
    rtype: str = ""
    target: str = ""
    data: LocalRecord | None = None
    fault: str = ""


class ZoneFile:
    """Lines in, records out."""

    def __init__(self) -> None:
        self.line = 0
        self.serial: int | None = None
        self._apex = ""
        self._origin = _UNNAMED
        self._owner: str | None = None
        self._ttl_s: int | None = None
        self._last_ttl_s = DEFAULT_TTL_S
        self._open: list[bytes] = []
        self._open_bytes = 0
        self._depth = 0
        self._quoted = False
        self._first_line = 0

    @property
    def names_are_triggers(self) -> bool:
        """Whether a relative owner at the start of the next line is one below the zone."""
        return not self._open and self._origin == (self._apex or _UNNAMED)

    def skip(self, lines: int, last_owner: bytes) -> None:
        """The caller read these lines itself."""
        self.line += lines
        self._owner = f"{last_owner.decode('ascii').lower()}.{self._origin}"

    def read_line(self, line: bytes) -> Iterator[Record]:
        """The records that end on the next line: one or none."""
        self.line += 1
        line = line.rstrip(b"\r")
        if not self._open:
            found = _SIMPLE.fullmatch(line)
            if found:
                yield self._simple(found)
                return
            self._first_line = self.line
        self._scan(line)
        self._open.append(line)
        self._open_bytes += len(line)
        if self._depth and self._open_bytes <= MAX_RECORD_BYTES:
            return
        yield from self.done()

    def done(self) -> Iterator[Record]:
        """What is still open ends here."""
        lines, self._open, self._open_bytes = self._open, [], 0
        unbalanced, self._depth, self._quoted = self._depth or self._quoted, 0, False
        if not lines:
            return
        text = b"\n".join(lines).decode(errors="replace")
        shown = " ".join(text.split())[:_SHOWN_CHARS]
        if unbalanced:
            fault = "a parenthesis or quote is left open"
            yield Record(self._first_line, shown, fault=fault)
            return
        try:
            record = self._record(text, shown)
        except ValueError as error:
            record = Record(self._first_line, shown, fault=str(error))
        if record is not None:
            yield record

    def _scan(self, line: bytes) -> None:
        """How deep in parentheses the line ends. A quote ends with its line (RFC 1035 5.1)."""
        self._quoted = False
        for mark in _MARKS.findall(line):
            if mark == b'"':
                self._quoted = not self._quoted
            elif self._quoted:
                continue
            elif mark == b";":
                break
            elif mark == b"(":
                self._depth += 1
            elif mark == b")":
                self._depth = max(0, self._depth - 1)

    def _simple(self, found: re.Match[bytes]) -> Record:
        """A CNAME on one line, of plain characters: by far the most of a policy zone."""
        shown = found[0][:_SHOWN_CHARS].decode(errors="replace")
        self._owner = self._whole(found[1].decode().lower())
        target = self._whole(found[2].decode().lower())
        try:
            return self._cname(self.line, shown, target)
        except ValueError as error:
            return Record(self.line, shown, fault=str(error))

    def _cname(self, line: int, shown: str, target: str) -> Record:
        owner = self._relative(self._owner or "")
        if target == _UNNAMED or target.endswith(f".{_UNNAMED}"):
            raise ValueError("the target has no final dot, and the zone has no name")
        return Record(line, shown, owner, "CNAME", target)

    def _whole(self, text: str) -> str:
        """A name without its final dot; a relative one with the origin after it."""
        return text[:-1] if text.endswith(".") else f"{text}.{self._origin}".rstrip(".")

    def _relative(self, name: str) -> str:
        apex = self._apex or _UNNAMED
        if len(name) + 2 > MAX_WIRE_BYTES:
            raise ValueError(f"the name is longer than {MAX_WIRE_BYTES} bytes")
        if name == apex:
            return ""
        if not name.endswith(f".{apex}"):
            if self._apex:
                raise ValueError(f"it is not below the zone, {apex}")
            raise ValueError("the name of the zone is not known; put $ORIGIN on the first line")
        return name[: -len(apex) - 1]

    def _record(self, text: str, shown: str) -> Record | None:
        """What one record says; None for a line that has none. Raises ValueError."""
        import dns.exception  # noqa: PLC0415 only policies with such records pay for it
        import dns.tokenizer  # noqa: PLC0415

        tokens = dns.tokenizer.Tokenizer(text)
        try:
            return self._read_tokens(tokens, shown)
        except (dns.exception.DNSException, UnicodeError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"it is no record: {said}") from None

    def _read_tokens(self, tokens: Any, shown: str) -> Record | None:
        first = tokens.get(want_leading=True)
        if first.is_eol_or_eof():
            return None
        if first.is_whitespace():
            first = tokens.get()
            if first.is_eol_or_eof():
                return None
            if self._owner is None:
                raise ValueError("there is no owner before it")
            tokens.unget(first)
        elif first.value.startswith("$"):
            self._directive(first.value.upper(), tokens)
            return None
        else:
            self._owner = None
            self._owner = self._name(first.value)
        ttl_s, rtype = self._ttl_and_type(tokens)
        if rtype == "SOA":
            return self._soa(tokens, ttl_s, shown)
        owner = self._relative(self._owner)
        rdata, number = self._rdata(tokens, rtype)
        if rtype == "CNAME":
            return self._cname(self._first_line, shown, _text(rdata.target))
        data = LocalRecord(number, ttl_s, rdata.to_wire())
        return Record(self._first_line, shown, owner, rtype, data=data)

    def _directive(self, directive: str, tokens: Any) -> None:
        import dns.ttl  # noqa: PLC0415

        if directive == "$ORIGIN":
            self._origin = self._name(tokens.get_string())
            # Of several the first is the zone's, unless its SOA says otherwise.
            self._apex = self._apex or self._origin
        elif directive == "$TTL":
            self._ttl_s = dns.ttl.from_text(tokens.get_string())
        else:
            raise ValueError(f"{directive} is not read here; write its records out")

    def _ttl_and_type(self, tokens: Any) -> tuple[int, str]:
        import dns.ttl  # noqa: PLC0415

        ttl_s = None
        while True:
            word = tokens.get_string()
            if _NUMBER.match(word) and ttl_s is None:
                ttl_s = self._last_ttl_s = dns.ttl.from_text(word)
            elif word.upper() in _CLASSES:
                if word.upper() != "IN":
                    raise ValueError(f"the class {word} is not IN")
            else:
                break
        if ttl_s is None:
            ttl_s = self._last_ttl_s if self._ttl_s is None else self._ttl_s
        return ttl_s, word.upper()

    def _soa(self, tokens: Any, ttl_s: int, shown: str) -> Record:
        if self._owner != self._apex:
            if self.serial is not None:
                raise ValueError("the zone has a SOA already")
            if self._owner != _UNNAMED:
                self._apex = self._owner or ""
                if self._origin == _UNNAMED:
                    self._origin = self._apex
        rdata, _ = self._rdata(tokens, "SOA")
        self.serial = rdata.serial
        self._last_ttl_s = ttl_s
        return Record(self._first_line, shown, "", "SOA")

    def _name(self, text: str) -> str:
        import dns.name  # noqa: PLC0415

        if text == "@":
            return self._origin
        if not text.isascii():
            raise ValueError("a name has other letters than ASCII; write it with xn-- labels")
        origin = dns.name.from_text(f"{self._origin}.")
        return _text(dns.name.from_text(text, origin))

    def _rdata(self, tokens: Any, rtype: str) -> tuple[Any, int]:
        import dns.name  # noqa: PLC0415
        import dns.rdata  # noqa: PLC0415
        import dns.rdatatype  # noqa: PLC0415

        try:
            number = dns.rdatatype.from_text(rtype)
        except dns.rdatatype.UnknownRdatatype:
            raise ValueError(f"{rtype} is no type of record") from None
        origin = dns.name.from_text(f"{self._origin}.")
        return dns.rdata.from_text("IN", number, tokens, origin, relativize=False), int(number)


def _text(name: Any) -> str:
    return from_wire(name.to_wire())
