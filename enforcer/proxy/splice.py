"""Bytes between two transports, untouched: back-pressure, half-close, counts.

Each end is a Half, the protocol of its transport; what it reads goes to its peer.
"""

import asyncio
from collections.abc import Callable


class Half(asyncio.Protocol):
    """One end of a splice. ``received`` counts the bytes read here."""

    __slots__ = ("_on_end", "_saw_eof", "peer", "received", "transport")

    peer: "Half"

    def __init__(self, transport: asyncio.Transport, on_end: Callable[[], None]) -> None:
        self.transport = transport
        self.received = 0
        self._on_end = on_end
        self._saw_eof = False

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.peer.transport.write(data)

    def eof_received(self) -> bool:
        """Pass the half-close on; the transport stays open for the other direction."""
        self._saw_eof = True
        if self.peer._saw_eof:
            self.peer.transport.close()
            return False
        if self.peer.transport.can_write_eof():
            self.peer.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self.peer.transport.close()
        else:
            self.peer.transport.abort()
        self._on_end()


class Splice:
    """Two transports joined, until both are closed."""

    __slots__ = ("_ends_left", "_on_end", "_seen_bytes", "client", "upstream")

    def __init__(
        self,
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        first_bytes: bytes,
        on_end: Callable[["Splice"], None],
    ) -> None:
        self._on_end = on_end
        self._ends_left = 2
        self._seen_bytes = -1
        self.client = Half(client, self._ended)
        self.upstream = Half(upstream, self._ended)
        self.client.peer, self.upstream.peer = self.upstream, self.client
        self.client.received = len(first_bytes)
        client.set_protocol(self.client)
        upstream.set_protocol(self.upstream)
        upstream.write(first_bytes)
        client.resume_reading()

    def abort_if_idle(self) -> None:
        """End the splice when nothing was passed on since the last call."""
        total_bytes = self.client.received + self.upstream.received
        if total_bytes == self._seen_bytes:
            self.abort()
        self._seen_bytes = total_bytes

    def abort(self) -> None:
        self.client.transport.abort()
        self.upstream.transport.abort()

    def _ended(self) -> None:
        self._ends_left -= 1
        if not self._ends_left:
            self._on_end(self)
