"""Messages between the main process and a worker, over a pair of sockets.

A message is a JSON object behind its length in four bytes. ``Frames`` is sans-I/O, Channel
the asyncio around it. Both ends are bounded: what is longer than a message may be ends the
channel, and who sends more than is read on the other side is told by ``congested``.
"""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from typing import Any, Final

MAX_MESSAGE_BYTES: Final = 4 << 20
# What may wait to be read on the other side before ``congested`` says so.
MAX_WAITING_BYTES: Final = 1 << 20
_LENGTH_BYTES: Final = 4
_READ_BYTES: Final = 256 << 10

Message = dict[str, Any]


class ChannelError(Exception):
    """The other side sent what is no message, or we would."""


def frame(message: Message) -> bytes:
    """The message as it goes over the wire. Raises ChannelError when it is too long."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MAX_MESSAGE_BYTES:
        raise ChannelError(f"a message of {len(body)} bytes is too long")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class Frames:
    """Bytes in, messages out, however the bytes are split."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises ChannelError."""
        buffer = self._buffer
        buffer += data
        messages = []
        start = 0
        while len(buffer) - start >= _LENGTH_BYTES:
            body = start + _LENGTH_BYTES
            length = int.from_bytes(buffer[start:body], "big")
            if length > MAX_MESSAGE_BYTES:
                raise ChannelError(f"a message of {length} bytes is too long")
            if len(buffer) < body + length:
                break
            start = body + length
            messages.append(_parse(buffer[body:start]))
        del buffer[:start]
        return messages


def _parse(body: bytearray) -> Message:
    try:
        message = json.loads(body)
    # A depth that the parser cannot hold is a RecursionError.
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ChannelError("a message is no JSON object")
    return message


class Channel:
    """One end. To be used in its loop's thread, but for ``congested``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = Frames()
        # Whether the other side is slow to read; to be seen from any thread.
        self.congested = False

    def send(self, message: Message) -> None:
        """Without a word when the other side is gone. Raises ChannelError."""
        self.send_framed(frame(message))

    def send_framed(self, data: bytes) -> None:
        """What ``frame`` made, be it in another thread; nothing only looks at ``congested``."""
        if not self._writer.is_closing():
            self._writer.write(data)
            self.congested = self._writer.transport.get_write_buffer_size() > MAX_WAITING_BYTES

    async def receive(self) -> AsyncGenerator[Message, None]:
        """All messages, until the other side ends. Raises ChannelError."""
        try:
            while data := await self._reader.read(_READ_BYTES):
                for message in self._frames.feed(data):
                    yield message
        except ConnectionError:
            return

    async def close(self, timeout_s: float = 0) -> None:
        """Close, when all is sent or the time is over."""
        transport = self._writer.transport
        if timeout_s:
            transport.close()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._writer.wait_closed()
            except (ConnectionError, TimeoutError):
                transport.abort()
        else:
            transport.abort()


async def open_channel(end: socket.socket) -> Channel:
    """Takes over one end of a ``socket.socketpair()``."""
    end.setblocking(False)
    return Channel(*await asyncio.open_unix_connection(sock=end))
