"""The first handshake message, out of as many TLS records as it takes (RFC 8446 5.1).

Called again with the whole buffer whenever bytes arrive, so it walks record headers
only, copies nothing before the message is complete, and stops as soon as too few
bytes are left. Raises DecodeError for bytes that can become no such message.
"""

from typing import Final

from enforcer.tls.reader import DecodeError

# Whoever splits a hello does it in a handful of records. The cap bounds the work of
# walking their headers again on each call.
MAX_RECORDS: Final = 512
MAX_FRAGMENT_BYTES: Final = 1 << 14  # RFC 8446 5.1
RECORD_HEADER_BYTES: Final = 5
MESSAGE_HEADER_BYTES: Final = 4  # RFC 8446 4: type, and length in three bytes

_HANDSHAKE: Final = 22
_MAJOR_VERSION: Final = 3


def first_handshake(data: bytes | bytearray, message_type: int, max_bytes: int) -> bytes | None:
    """The body of the message, or None while bytes are missing."""
    spans: list[tuple[int, int]] = []
    have = at = 0
    need: int | None = None
    for _ in range(MAX_RECORDS):
        if at + RECORD_HEADER_BYTES > len(data):
            return None
        start = at + RECORD_HEADER_BYTES
        at = start + _fragment_length(data, at)
        end = min(at, len(data))
        spans.append((start, end))
        have += end - start
        if need is None and have >= MESSAGE_HEADER_BYTES:
            # No fragment is empty, so these are four spans at most.
            header = b"".join(data[a : min(b, a + MESSAGE_HEADER_BYTES)] for a, b in spans)
            need = _message_length(header, message_type, max_bytes)
        if need is not None and have >= need:
            return b"".join(data[a:b] for a, b in spans)[MESSAGE_HEADER_BYTES:need]
        if need is not None and len(data) - at < need - have:
            return None
    raise DecodeError(f"a handshake message split over more than {MAX_RECORDS} records")


def _fragment_length(data: bytes | bytearray, at: int) -> int:
    """Length of the record whose header is at ``at``."""
    content_type, major = data[at], data[at + 1]
    length = int.from_bytes(data[at + 3 : at + RECORD_HEADER_BYTES], "big")
    if content_type != _HANDSHAKE:
        raise DecodeError(f"a record of content type {content_type} within the handshake message")
    if major != _MAJOR_VERSION:
        raise DecodeError(f"a record of major version {major}")
    if not 0 < length <= MAX_FRAGMENT_BYTES:
        raise DecodeError(f"a handshake record of {length} bytes")
    return length


def _message_length(header: bytes, message_type: int, max_bytes: int) -> int:
    """Length of the message that begins so, its header included."""
    if header[0] != message_type:
        raise DecodeError(f"a handshake message of type {header[0]}, not {message_type}")
    length = int.from_bytes(header[1:MESSAGE_HEADER_BYTES], "big")
    if length > max_bytes:
        raise DecodeError(f"a handshake message of {length} bytes, more than {max_bytes}")
    return MESSAGE_HEADER_BYTES + length
