"""A bounds-checked reader for TLS presentation language (RFC 8446 3).

The only place that slices a hello. It raises DecodeError, which the parser that made
it turns into a value; nothing else may catch or see it.
"""


class DecodeError(Exception):
    """Leaves a parser only as its Malformed."""


class Reader:
    """Takes bytes from the front, never past the end; true while any are left."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise DecodeError("a length points past the end")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> "Reader":
        """A vector with its length in front, in ``width`` bytes (RFC 8446 3.4)."""
        return Reader(self.take(self.number(width)))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)
