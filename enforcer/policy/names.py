"""A DNS name in text and wire form: fold, check, walk suffixes.

Text form is RFC 1035 5.1's, in lower case, without the final dot. A byte that is
not plain printable ASCII, and a dot or backslash inside a label, is written as a
decimal escape, so that text splits on dots exactly where the wire has labels.
"""

from collections.abc import Iterator

MAX_LABEL_BYTES = 63  # RFC 1035 2.3.4
MAX_WIRE_BYTES = 255  # the same
_PLAIN = frozenset(range(0x21, 0x7F)) - frozenset(b'.\\"')
_HOST_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
_FOLD = bytes(b + 32 if 0x41 <= b <= 0x5A else b for b in range(256))  # noqa: PLR2004 ASCII A to Z


def fold(text: str) -> str:
    """Lower case and no final dot; nothing is checked."""
    return text.lower().removesuffix(".")


def fold_wire(wire: bytes) -> bytes:
    """Lower case (RFC 4343). Length bytes are at most 63, so they are never letters."""
    return wire.translate(_FOLD)


def parse_host(text: str) -> str:
    """Folded host name of letters, digits, hyphen and underscore; IDNA to A-labels.

    Raises ValueError with a sentence that says what is wrong.
    """
    name = fold(text.strip())
    if not name:
        raise ValueError("the name is empty")
    if not name.isascii():
        import idna  # noqa: PLC0415 only names outside ASCII pay for its tables

        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError as error:
            raise ValueError(f"{text!r} is not a valid internationalised name: {error}") from error
    for label in name.split("."):
        if not label:
            raise ValueError(f"{text!r} has an empty label")
        if len(label) > MAX_LABEL_BYTES:
            raise ValueError(f"{text!r} has a label longer than {MAX_LABEL_BYTES} bytes")
        if not set(label.encode()) <= _HOST_BYTES:
            raise ValueError(f"{text!r} has a character that no host name has")
    if len(name) + 2 > MAX_WIRE_BYTES:
        raise ValueError(f"{text!r} is longer than {MAX_WIRE_BYTES} bytes")
    return name


def to_wire(name: str) -> bytes:
    """Uncompressed wire form of a folded text name without escapes."""
    labels = name.encode("ascii").split(b".") if name else []
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def from_wire(wire: bytes) -> str:
    """Folded text of an uncompressed wire name."""
    labels = []
    at = 0
    wire = fold_wire(wire)
    while wire[at]:
        end = at + 1 + wire[at]
        label = wire[at + 1 : end]
        labels.append("".join(chr(b) if b in _PLAIN else f"\\{b:03d}" for b in label))
        at = end
    return ".".join(labels)


def suffixes(name: str) -> Iterator[str]:
    """The name itself, then each shorter suffix, the root left out."""
    while name:
        yield name
        _, _, name = name.partition(".")
