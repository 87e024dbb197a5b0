"""DNS messages in a stream, each with its length in front (RFC 1035 4.2.2). Sans-I/O.

For TCP and TLS. A framing turns messages into bytes to send, and bytes received into
messages with the key of the query each is for; here that is the message's id.
"""

from collections.abc import Callable, Container, Iterable
from typing import Protocol

from enforcer.dns.packets.wire import HEADER


class FramingError(Exception):
    """The peer does not speak the protocol: the connection is of no use any more."""


class Framing(Protocol):
    """One connection's."""

    def start(self) -> bytes:
        """What is sent before the first message."""

    def choose_id(self, taken: Container[int], random_id: Callable[[], int]) -> int:
        """The id for the next message, with which ``send`` gives a key that is not taken."""

    def send(self, message: bytes) -> tuple[int, bytes]:
        """The key by which the reply will come, and the bytes to send. Raises FramingError."""

    def receive(self, data: bytes) -> Iterable[tuple[int, bytes | None]]:
        """Replies by key; None for one that the peer refuses to give. Raises FramingError."""

    def answer(self) -> bytes:
        """What the protocol itself has to send after ``receive``."""

    @property
    def has_room(self) -> bool:
        """Whether one more message may be sent now."""

    @property
    def is_ending(self) -> bool:
        """Whether the peer takes no more messages on this connection."""


class LengthFraming:
    """Bounded by the length's two bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    has_room = True
    is_ending = False

    def start(self) -> bytes:
        return b""

    def choose_id(self, taken: Container[int], random_id: Callable[[], int]) -> int:
        ident = random_id()
        while ident in taken:
            ident = random_id()
        return ident

    def send(self, message: bytes) -> tuple[int, bytes]:
        return message[0] << 8 | message[1], len(message).to_bytes(2, "big") + message

    def receive(self, data: bytes) -> Iterable[tuple[int, bytes | None]]:
        buffer = self._buffer
        buffer += data
        messages: list[tuple[int, bytes | None]] = []
        at = 0
        while at + 2 <= len(buffer):
            length = buffer[at] << 8 | buffer[at + 1]
            if length < HEADER.size:
                raise FramingError("a message without a header")
            end = at + 2 + length
            if end > len(buffer):
                break
            messages.append((buffer[at + 2] << 8 | buffer[at + 3], bytes(buffer[at + 2 : end])))
            at = end
        del buffer[:at]
        return messages

    def answer(self) -> bytes:
        return b""
