"""What a peer has sent so far, until its connection is spliced, refused or handed over."""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast


class Writer(Protocol):
    """Who writes to a peer while its bytes are still collected, and so must hear of it."""

    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...


class Collector(asyncio.Protocol):
    """Collects the first bytes of one connection. Bounded: past ``limit_bytes`` it stops reading.

    ``eof`` says that the peer will send no more, ``lost`` that the connection is no more.
    """

    transport: asyncio.Transport

    def __init__(
        self, limit_bytes: int, on_connection: Callable[["Collector"], None] | None = None
    ) -> None:
        self.buffer = bytearray()
        self.eof = False
        self.lost = False
        self.writer: Writer | None = None
        self._limit_bytes = limit_bytes
        self._on_connection = on_connection
        self._more: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # TCP has no other kind; uvloop's does not inherit from it, so this cannot be asked.
        self.transport = cast("asyncio.Transport", transport)
        if self._on_connection:
            self._on_connection(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > self._limit_bytes:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.eof = True
        self._wake()
        return True  # the other direction may go on

    def connection_lost(self, exc: Exception | None) -> None:
        self.eof = self.lost = True
        if self.writer:
            self.writer.connection_lost(exc)
        self._wake()
        if self._gone and not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        if self.writer:
            self.writer.pause_writing()

    def resume_writing(self) -> None:
        if self.writer:
            self.writer.resume_writing()

    def _wake(self) -> None:
        if self._more and not self._more.done():
            self._more.set_result(None)

    async def more(self) -> bool:
        """Wait for more bytes than there are now; False when none will come."""
        size = len(self.buffer)
        if self.eof or size > self._limit_bytes:
            return False
        self._more = asyncio.get_running_loop().create_future()
        await self._more
        return len(self.buffer) > size

    async def gone(self) -> None:
        """Wait until the connection is no more."""
        if not self.lost:
            self._gone = asyncio.get_running_loop().create_future()
            await self._gone

    def take(self, length: int) -> None:
        """Drop the first ``length`` bytes: they are understood."""
        del self.buffer[:length]
        if not self.eof and len(self.buffer) <= self._limit_bytes:
            self.transport.resume_reading()
