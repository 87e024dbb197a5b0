"""The sockets, UDP, TCP and TLS, and who is answered on them, and how often."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from enforcer.dns.ask import UDP, Asker, Send
from enforcer.dns.responder import Responder
from enforcer.dns.serving.access import Access
from enforcer.dns.serving.carrier import MAX_WAITING, Carrier
from enforcer.dns.serving.dot import DotCertificate, DotListener
from enforcer.dns.serving.rate import RateLimit, client_key
from enforcer.dns.serving.sockets import SharePort, bind_both, bind_socket
from enforcer.dns.serving.tcp import Connections, StreamLimits, TcpConnection
from enforcer.dns.serving.turn_away import refuse, truncate
from enforcer.dns.serving.udp import UdpListener
from enforcer.dns.upstream.forwarder import Forwarder
from enforcer.metrics import Metrics
from enforcer.settings.dns import DnsSettings
from enforcer.settings.endpoint import Endpoint

log = logging.getLogger(__name__)

_TELL_EVERY_S: Final = 60.0


class Serving(NamedTuple):
    """Who is served, how often, and by what bounds. ``proxies`` may speak for others."""

    access: Access
    rate: RateLimit | None
    proxies: Access
    limits: StreamLimits
    max_waiting: int = MAX_WAITING


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
        self._carrier = Carrier(
            responder, forwarder, metrics, clock, max_waiting=self.serving.max_waiting
        )
        self._discarded = metrics.dns_discarded
        self._over_limit = 0
        self._told_s = 0.0
        self._udp: list[UdpListener] = []
        self._tcp: list[asyncio.Server] = []
        self._dot: list[DotListener] = []
        self.connections = Connections(
            self.take,
            metrics,
            self.serving.limits,
            self.serving.proxies,
            self.serving.access,
        )

    async def listen(self, endpoint: Endpoint, share: SharePort = SharePort.NO) -> Endpoint:
        """UDP and TCP on one port; returns where it listens. Raises OSError."""
        loop = asyncio.get_running_loop()
        udp, tcp = bind_both(endpoint, share)
        self._udp.append(
            UdpListener(
                udp,
                self.responder.quick,
                self.take,
                self.clock,
                rate=self.serving.rate,
                proxies=self.serving.proxies,
                discard_header=self._discard_header,
                access=self.serving.access,
            )
        )
        self._tcp.append(
            await loop.create_server(lambda: TcpConnection(self.connections), sock=tcp)
        )
        return Endpoint(*tcp.getsockname()[:2])

    async def listen_dot(
        self,
        endpoint: Endpoint,
        certificate: DotCertificate,
        share: SharePort = SharePort.NO,
    ) -> Endpoint:
        """DNS over TLS (RFC 7858); returns where it listens. Raises OSError."""
        bound = bind_socket(endpoint, socket.SOCK_STREAM, share)
        self._dot.append(DotListener(bound, certificate, self.connections))
        return Endpoint(*bound.getsockname()[:2])

    def take(self, packet: bytes, asker: Asker, send: Send, *, rated: bool = False) -> None:
        """Answer one query, now or later: ``send`` is called once, with None for no answer.

        ``rated`` says that the client's rate was counted already, and is within its limit.
        """
        serving = self.serving
        if not (asker.admitted or serving.access.allows(asker.client)):
            self._prohibit(asker)
            send(refuse(packet, "this server does not answer your address"))
        elif not (rated or serving.rate is None or serving.rate.take(_bucket(asker), self.clock())):
            self._discarded.add("rate_limited")
            send(self._refuse_more(packet, asker))
        else:
            self._carrier.take(packet, asker, send)

    def _prohibit(self, asker: Asker) -> None:
        self._discarded.add("prohibited")
        now_s = self.clock()
        # Who forgot to name a range should find it in the log; a flood should not fill it.
        if not 0 <= now_s - self._told_s < _TELL_EVERY_S:
            self._told_s = now_s
            log.warning("DNS: %s is refused, it is not in dns.allow_from", asker.client)

    def _refuse_more(self, packet: bytes, asker: Asker) -> bytes | None:
        """Over UDP, where it may be forged: by turns that it must come by TCP, and nothing."""
        if asker.transport != UDP:
            return refuse(packet, "too many queries")
        self._over_limit += 1
        return truncate(packet) if self._over_limit & 1 else None

    def _discard_header(self) -> None:
        """A trusted proxy sent something else: nobody knows whom it speaks for."""
        self._discarded.add("proxy_header")

    async def drain(self, timeout_s: float) -> None:
        """Take no new connection; answer what waits, within the time; then close all.

        May be given up, and called again.
        """
        for server in self._tcp:
            server.close()
        for listener in self._dot:
            listener.close()
        self._tcp.clear()
        self._dot.clear()
        await self._carrier.drain(timeout_s)
        for udp in self._udp:
            udp.close()
        self.connections.close()
        self._udp.clear()


def _bucket(asker: Asker) -> bytes:
    """UDP has buckets of its own: whoever forges an address must not close TCP to its owner."""
    key = client_key(asker.client)
    return key if asker.transport == UDP else b"s" + key
