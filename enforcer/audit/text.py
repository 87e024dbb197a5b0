"""What clients chose to send, made safe to store and to show.

A name or a reason may hold anything: controls that move a terminal's cursor, marks
that turn the direction of text, halves of surrogate pairs. Nothing is dropped: what
cannot stay as it is becomes a backslash escape.
"""


def well_formed(text: str) -> str:
    """Without lone surrogates: neither UTF-8 nor a strict reader of JSON takes them."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """On one line, with nothing in it that a terminal acts on or that cannot be seen."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
