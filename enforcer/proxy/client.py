"""What a client has sent so far, until its flow is spliced, refused or handed over."""

import asyncio
from collections.abc import Callable

# The largest request head and the largest hello, one behind the other.
MAX_BUFFER_BYTES = 256 * 1024


class ClientProtocol(asyncio.Protocol):
    """Collects the first bytes of one connection. Bounded: past the limit it stops reading."""

    transport: asyncio.Transport

    def __init__(self, on_connection: Callable[["ClientProtocol"], None]) -> None:
        self.buffer = bytearray()
        self.gone = False
        self._on_connection = on_connection
        self._more: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 a TCP server has no other
        self.transport = transport
        self._on_connection(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > MAX_BUFFER_BYTES:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.gone = True
        self._wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 how it was lost
        self.gone = True
        self._wake()

    def _wake(self) -> None:
        if self._more and not self._more.done():
            self._more.set_result(None)

    async def more(self) -> bool:
        """Wait for more bytes than there are now; False when none will come."""
        size = len(self.buffer)
        if self.gone or size > MAX_BUFFER_BYTES:
            return False
        self._more = asyncio.get_running_loop().create_future()
        await self._more
        return len(self.buffer) > size

    def take(self, length: int) -> None:
        """Drop the first ``length`` bytes: they are understood."""
        del self.buffer[:length]
