"""The sockets: UDP and TCP, and the way of each Ask to the forwarder and back.

Bounded: so many queries wait for upstreams at once, so many TCP connections, and so
many queries on each. RFC 7766 for TCP: pipelined, answered in any order, idle closed.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any, cast

from enforcer.dns.forwarder import Forwarder
from enforcer.dns.responder import TCP, UDP, Ask, Asker, Responder
from enforcer.metrics import Metrics
from enforcer.policy.addresses import parse_address
from enforcer.policy.model import Address
from enforcer.settings.endpoint import Endpoint

log = logging.getLogger(__name__)

MAX_WAITING = 1000
ANY_PORT_TRIES = 20
MAX_TCP_CONNECTIONS = 500
MAX_PIPELINED = 50
TCP_IDLE_S = 10.0  # RFC 7766 6.2.3: seconds, not minutes
# The kernel drops what does not fit while the loop is busy; this is a burst's worth.
_RECEIVE_BUFFER_BYTES = 4 << 20
_MAX_MESSAGE_BYTES = 2 + 0xFFFF

Send = Callable[[bytes | None], None]

parse_client = lru_cache(maxsize=4096)(parse_address)


class DnsServer:
    """Listens on UDP and TCP, and keeps count of what waits."""

    def __init__(
        self,
        responder: Responder,
        forwarder: Forwarder,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self.responder = responder
        self.clock = clock
        self._forwarder = forwarder
        self._discarded = metrics.dns_discarded
        self._udp: list[asyncio.DatagramTransport] = []
        self._tcp: list[asyncio.Server] = []
        self._waiting: set[asyncio.Task[None]] = set()
        self.connections: set[_TcpConnection] = set()

    async def listen(self, endpoint: Endpoint) -> Endpoint:
        """UDP and TCP on one port; returns where it listens. Raises OSError."""
        loop = asyncio.get_running_loop()
        udp, tcp = _bind_both(endpoint)
        transport, _ = await loop.create_datagram_endpoint(lambda: _UdpProtocol(self), sock=udp)
        self._udp.append(transport)
        self._tcp.append(await loop.create_server(lambda: _TcpConnection(self), sock=tcp))
        return Endpoint(*tcp.getsockname()[:2])

    def take(self, packet: bytes, asker: Asker, send: Send) -> None:
        """Answer one query, now or later: ``send`` is called once, with None for no answer."""
        response = None
        try:
            outcome = self.responder.answer(packet, asker, self.clock())
            if not isinstance(outcome, Ask):
                response = outcome
            elif len(self._waiting) >= MAX_WAITING:
                response = self.responder.overloaded(outcome)
            else:
                self._wait(self._carry(outcome, send))
                return
        except Exception:
            # A fault of our own must not take the socket down with it.
            self._discarded.add("internal_error")
            log.exception("a query failed for a reason of our own")
        send(response)

    async def _carry(self, ask: Ask, send: Send) -> None:
        response = None
        try:
            reply = await self._forwarder.ask(ask.query)
            response = self.responder.resume(ask, reply)
        finally:
            send(response)

    def _wait(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._waiting.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._discarded.add("internal_error")
            log.error("a query failed for a reason of our own", exc_info=error)

    async def drain(self, timeout_s: float) -> None:
        """Take no new connection; answer what waits, within the time; then close all."""
        for server in self._tcp:
            server.close()
        if self._waiting:
            await asyncio.wait(tuple(self._waiting), timeout=timeout_s)
        for task in tuple(self._waiting):
            task.cancel()
        for transport in self._udp:
            transport.close()
        for connection in tuple(self.connections):
            connection.close()
        self._udp.clear()
        self._tcp.clear()


def _bind_both(endpoint: Endpoint) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on one port; one that the kernel chose for UDP may be taken for TCP."""
    for tries_left in reversed(range(1 if endpoint.port else ANY_PORT_TRIES)):
        udp = _bind(endpoint, socket.SOCK_DGRAM)
        try:
            port = udp.getsockname()[1]
            return udp, _bind(Endpoint(endpoint.host, port), socket.SOCK_STREAM)
        except OSError:
            udp.close()
            if not tries_left:
                raise
    raise AssertionError("at least one try")


def _bind(endpoint: Endpoint, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        if family == socket.AF_INET6:
            # 0.0.0.0 and [::] are two listeners, which may both be asked for.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        bound.bind(tuple(endpoint))
    except OSError:
        bound.close()
        raise
    return bound


class _UdpProtocol(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no subclass of asyncio's.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        def send(response: bytes | None) -> None:
            if response is not None and not self._transport.is_closing():
                self._transport.sendto(response, addr)

        self._server.take(data, Asker(parse_client(addr[0]), UDP), send)


class _TcpConnection(asyncio.Protocol):
    """One client's connection: messages with their length in front (RFC 1035 4.2.2)."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._waiting = 0
        self._taking = False
        self._client_ended = False
        self._congested = False
        self._client: Address
        self._transport: asyncio.Transport
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._client = parse_client(transport.get_extra_info("peername")[0])
        if len(self._server.connections) >= MAX_TCP_CONNECTIONS:
            self._transport.abort()
            return
        self._server.connections.add(self)
        self._rest()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._take_queries()

    def eof_received(self) -> bool:
        """What was asked is still answered (RFC 7766 6.2.4)."""
        self._client_ended = True
        return self._waiting > 0

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False
        self._take_queries()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 how it was lost
        self._server.connections.discard(self)
        self._buffer.clear()
        if self._idle:
            self._idle.cancel()

    def close(self) -> None:
        self._transport.close()

    def _take_queries(self) -> None:
        self._taking = True
        asker = Asker(self._client, TCP)
        while self._waiting < MAX_PIPELINED and not self._congested:
            end = 2 + int.from_bytes(self._buffer[:2], "big")
            if len(self._buffer) < max(end, 3):
                break
            packet = bytes(self._buffer[2:end])
            del self._buffer[:end]
            self._waiting += 1
            self._server.take(packet, asker, self._send)
            self._rest()
        self._taking = False
        if self._transport.is_closing():
            return
        if self._client_ended and not self._waiting and not self._congested:
            self._transport.close()
        elif len(self._buffer) > _MAX_MESSAGE_BYTES:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _send(self, response: bytes | None) -> None:
        self._waiting -= 1
        if self._transport.is_closing():
            return
        if response is None:
            # Whoever sends what is no query is not understood after it, either.
            self._end()
            return
        self._transport.write(len(response).to_bytes(2, "big") + response)
        if not self._taking:
            self._take_queries()

    def _rest(self) -> None:
        """Only a whole query counts as a sign of life: who drips bytes is idle."""
        if self._idle:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(TCP_IDLE_S, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self._waiting:
            self._rest()
        else:
            self._end()

    def _end(self) -> None:
        """Close, at once where a client that does not read would hold the connection."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()
