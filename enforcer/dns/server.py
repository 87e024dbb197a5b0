"""The sockets: UDP, TCP and TLS, and the way of each Ask to the forwarder and back.

Bounded: so many queries wait for upstreams at once; ``tcp`` bounds the connections.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any, NamedTuple, cast

from enforcer.dns.access import Access
from enforcer.dns.dot import DotCertificate, DotListener
from enforcer.dns.forwarder import Forwarder
from enforcer.dns.proxy_header import ProxyHeader, parse_proxy_header
from enforcer.dns.rate import RateLimit, client_key
from enforcer.dns.responder import UDP, Ask, Asker, Responder
from enforcer.dns.tcp import Connections, Send, StreamLimits, TcpConnection
from enforcer.dns.turn_away import refuse, truncate
from enforcer.metrics import Metrics
from enforcer.policy.addresses import parse_address
from enforcer.settings.dns import DnsSettings
from enforcer.settings.endpoint import Endpoint

log = logging.getLogger(__name__)

MAX_WAITING = 1000
ANY_PORT_TRIES = 20
# The kernel drops what does not fit while the loop is busy; this is a burst's worth.
_RECEIVE_BUFFER_BYTES = 4 << 20

parse_client = lru_cache(maxsize=4096)(parse_address)


class Serving(NamedTuple):
    """Who is served, how often, and by what bounds. ``proxies`` may speak for others."""

    access: Access
    rate: RateLimit | None
    proxies: Access
    limits: StreamLimits


def build_serving(settings: DnsSettings) -> Serving:
    """What the settings say of clients."""
    per_second = settings.rate_limit_per_second
    return Serving(
        Access(settings.allow_from),
        RateLimit(per_second) if per_second else None,
        Access(settings.proxy_protocol_from),
        StreamLimits(
            connections=settings.tcp_max_connections,
            connections_per_client=settings.tcp_max_connections_per_client,
            idle_s=settings.tcp_idle_ms / 1000,
        ),
    )


class DnsServer:
    """Listens on UDP, TCP and TLS, and keeps count of what waits."""

    def __init__(
        self,
        responder: Responder,
        forwarder: Forwarder,
        metrics: Metrics,
        clock: Callable[[], float],
        serving: Serving | None = None,
    ) -> None:
        self.responder = responder
        self.clock = clock
        self.serving = serving or build_serving(DnsSettings())
        self._forwarder = forwarder
        self._discarded = metrics.dns_discarded
        self._over_limit = 0
        self._udp: list[asyncio.DatagramTransport] = []
        self._tcp: list[asyncio.Server] = []
        self._dot: list[DotListener] = []
        self._waiting: set[asyncio.Task[None]] = set()
        self.connections = Connections(
            self.take, metrics, self.serving.limits, self.serving.proxies
        )

    async def listen(self, endpoint: Endpoint) -> Endpoint:
        """UDP and TCP on one port; returns where it listens. Raises OSError."""
        loop = asyncio.get_running_loop()
        udp, tcp = _bind_both(endpoint)
        transport, _ = await loop.create_datagram_endpoint(lambda: _UdpProtocol(self), sock=udp)
        self._udp.append(transport)
        self._tcp.append(
            await loop.create_server(lambda: TcpConnection(self.connections), sock=tcp)
        )
        return Endpoint(*tcp.getsockname()[:2])

    async def listen_dot(self, endpoint: Endpoint, certificate: DotCertificate) -> Endpoint:
        """DNS over TLS (RFC 7858); returns where it listens. Raises OSError."""
        bound = _bind(endpoint, socket.SOCK_STREAM)
        self._dot.append(DotListener(bound, certificate, self.connections))
        return Endpoint(*bound.getsockname()[:2])

    def take(self, packet: bytes, asker: Asker, send: Send) -> None:
        """Answer one query, now or later: ``send`` is called once, with None for no answer."""
        response = None
        try:
            now_s = self.clock()
            serving = self.serving
            if not serving.access.allows(asker.client):
                self._discarded.add("prohibited")
                response = refuse(packet, "this server does not answer your address")
            elif serving.rate is not None and not serving.rate.take(_bucket(asker), now_s):
                self._discarded.add("rate_limited")
                response = self._refuse_more(packet, asker)
            else:
                outcome = self.responder.answer(packet, asker, now_s)
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

    def _refuse_more(self, packet: bytes, asker: Asker) -> bytes | None:
        """Over UDP, where it may be forged: by turns that it must come by TCP, and nothing."""
        if asker.transport != UDP:
            return refuse(packet, "too many queries")
        self._over_limit += 1
        return truncate(packet) if self._over_limit & 1 else None

    def discard_proxy_header(self) -> None:
        """A trusted proxy sent something else: nobody knows whom it speaks for."""
        self._discarded.add("proxy_header")

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
        for listener in self._dot:
            listener.close()
        if self._waiting:
            await asyncio.wait(tuple(self._waiting), timeout=timeout_s)
        for task in tuple(self._waiting):
            task.cancel()
        for transport in self._udp:
            transport.close()
        self.connections.close()
        self._udp.clear()
        self._tcp.clear()
        self._dot.clear()


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


def _bucket(asker: Asker) -> bytes:
    """UDP has buckets of its own: whoever forges an address must not close TCP to its owner."""
    key = client_key(asker.client)
    return key if asker.transport == UDP else b"s" + key


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

        client = parse_client(addr[0])
        if self._server.serving.proxies.allows(client):
            header = parse_proxy_header(data)
            if not isinstance(header, ProxyHeader):
                self._server.discard_proxy_header()
                return
            client = header.client or client
            data = data[header.size_bytes :]
        self._server.take(data, Asker(client, UDP), send)
