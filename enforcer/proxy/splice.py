"""Bytes between two transports, untouched: back-pressure, half-close, counts.

Each end is a Half, the protocol of its transport; what it reads goes to its peer. A
splice begins half: the server may speak (SSH and SMTP servers do so first), while what
the client says is held back until it is released.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from enforcer.metrics import Cell
from enforcer.proxy.collector import Collector

# Whether to pass on what a client says; one that says no ends the splice.
Watch = Callable[[bytes], bool]


class Passed(NamedTuple):
    """Where the bytes of all splices are counted."""

    to_upstream: Cell
    to_client: Cell


class Half(asyncio.Protocol):
    """One end of a splice. ``received`` counts the bytes read here.

    What it reads goes through ``watch`` first, if there is one.
    """

    __slots__ = ("_on_end", "_passed", "_saw_eof", "peer", "received", "transport", "watch")

    peer: "Half"

    def __init__(
        self, transport: asyncio.Transport, passed: Cell, on_end: Callable[[], None]
    ) -> None:
        self.transport = transport
        self.received = 0
        self.watch: Watch | None = None
        self._passed = passed
        self._on_end = on_end
        self._saw_eof = False

    def take_over(self, collector: Collector) -> None:
        """Become the transport's protocol; what came before goes first."""
        self.transport.set_protocol(self)
        if not collector.eof:
            # Before the write below, whose back-pressure may stop it again.
            self.transport.resume_reading()
        if collector.buffer:
            self.data_received(bytes(collector.buffer))
            collector.buffer.clear()
        if collector.eof and not self.eof_received():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self.watch is not None and not self.watch(data):
            return
        self.received += len(data)
        self._passed.value += len(data)
        self.peer.transport.write(data)

    def eof_received(self) -> bool:
        """Pass the half-close on; the transport stays open for the other direction."""
        self._saw_eof = True
        other = self.peer.transport
        if self.peer._saw_eof:
            other.close()
            return False
        if other.can_write_eof() and not other.is_closing():
            other.write_eof()
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

    __slots__ = ("_client_collector", "_ends_left", "_seen_bytes", "client", "on_end", "upstream")

    on_end: Callable[["Splice"], None] | None

    def __init__(self, client: Collector, upstream: Collector, passed: Passed) -> None:
        self.on_end = None
        self._ends_left = 2
        self._seen_bytes = -1
        self._client_collector = client
        self.client = Half(client.transport, passed.to_upstream, self._ended)
        self.upstream = Half(upstream.transport, passed.to_client, self._ended)
        self.client.peer, self.upstream.peer = self.upstream, self.client
        client.writer = self.client
        self.upstream.take_over(upstream)

    @property
    def open(self) -> bool:
        """Whether there is anybody left at both ends."""
        return not (self.client.transport.is_closing() or self.upstream.transport.is_closing())

    def release(self, watch: Watch | None = None) -> None:
        """Pass on what the client says too, as long as ``watch`` says so."""
        self.client.watch = watch
        self.client.take_over(self._client_collector)

    def unwatch(self) -> None:
        """Pass on whatever the client says from now on."""
        self.client.watch = None

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
        if not self._ends_left and self.on_end:
            self.on_end(self)
