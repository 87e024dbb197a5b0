"""A DNS name in text and wire form: fold, check, walk suffixes.

Text form is RFC 1035 5.1's, in lower case, without the final dot. A byte that is
not plain printable ASCII, and a dot or backslash inside a label, is written as a
decimal escape, so that text splits on dots exactly where the wire has labels.
"""

from collections.abc import Iterator

MAX_LABEL_BYTES = 63  # RFC 1035 2.3.4
MAX_WIRE_BYTES = 255  # the same
MAX_LABELS = 127  # what 255 bytes have room for
_PLAIN = frozenset(range(0x21, 0x7F)) - frozenset(b'.\\"')
_DOT = ord(".")
_PLAIN_OR_DOT = bytes(_PLAIN) + b"."
_HOST_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
_FOLD = bytes(b + 32 if 0x41 <= b <= 0x5A else b for b in range(256))  # noqa: PLR2004 ASCII A to Z


def fold(text: str) -> str:
    """Lower case and no final dot; nothing is checked."""
    return text.lower().removesuffix(".")


def fold_wire(wire: bytes) -> bytes:
    """Lower case (RFC 4343). Length bytes are at most 63, so they are never letters."""
    return wire.translate(_FOLD)


def parse_host(text: str, *, wildcard: bool = False) -> str:
    """Folded host name of letters, digits, hyphen and underscore; IDNA to A-labels.

    ``wildcard`` lets ``*`` stand in a label too. Raises ValueError with a sentence that
    says what is wrong, and after a semicolon what would be right.
    """
    name = fold(text.strip())
    if not name.isascii():
        name = fold(_to_ascii(name, text))
    if not name:
        raise ValueError("the name is empty; write a host name")
    known = _HOST_BYTES | frozenset(b"*") if wildcard else _HOST_BYTES
    for label in name.split("."):
        if not label:
            raise ValueError(f"{text!r} has an empty label; write one dot between labels")
        if len(label) > MAX_LABEL_BYTES:
            raise ValueError(
                f"{text!r} has a label that is too long; "
                f"a label has at most {MAX_LABEL_BYTES} bytes"
            )
        if not known.issuperset(label.encode()):
            raise ValueError(
                f"{text!r} has a character that no host name has; "
                "use letters, digits, hyphens and dots"
            )
    if len(name) + 2 > MAX_WIRE_BYTES:
        raise ValueError(f"{text!r} is too long; a name has at most {MAX_WIRE_BYTES - 2} bytes")
    return name


def _to_ascii(name: str, text: str) -> str:
    """A-labels for the labels that need them (UTS 46), the others as they are."""
    import idna  # noqa: PLC0415 only names outside ASCII pay for its tables

    try:
        mapped = idna.uts46_remap(name, std3_rules=False)
        return ".".join(
            label if label.isascii() else idna.alabel(label).decode() for label in mapped.split(".")
        )
    except idna.IDNAError as error:
        raise ValueError(
            f"{text!r} is not a valid internationalised name: {error}; correct the name"
        ) from error


def to_wire(name: str) -> bytes:
    """Uncompressed wire form of a folded text name without escapes."""
    labels = name.encode("ascii").split(b".") if name else []
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def from_wire(wire: bytes) -> str:
    """Folded text of an uncompressed wire name."""
    folded = bytearray(wire.translate(_FOLD))
    at = labels = 0
    while length := folded[at]:
        folded[at] = _DOT
        at += 1 + length
        labels += 1
    text = folded[1:at]
    # Nearly every name: nothing in it needs an escape.
    if not text.translate(None, _PLAIN_OR_DOT) and text.count(b".") < (labels or 1):
        return text.decode("ascii")
    return _escaped(fold_wire(wire))


def _escaped(wire: bytes) -> str:
    labels = []
    at = 0
    while length := wire[at]:
        end = at + 1 + length
        labels.append(_escape(wire[at + 1 : end]))
        at = end
    return ".".join(labels)


def _escape(label: bytes) -> str:
    return "".join(chr(b) if b in _PLAIN else f"\\{b:03d}" for b in label)


def suffixes(name: str) -> Iterator[str]:
    """The name itself, then each shorter suffix, the root left out."""
    while name:
        yield name
        _, _, name = name.partition(".")
