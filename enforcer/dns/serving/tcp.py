"""Streams of DNS messages: one client's connection, over TCP or TLS alike.

RFC 7766: pipelined, answered in any order as answers are ready, idle ones closed, so many
in all and so many from one client. Behind a proxy that is trusted with it, the PROXY
header in front says who the client is.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from enforcer.dns.ask import TCP, Asker, Send
from enforcer.dns.packets.stream_options import add_stream_options
from enforcer.dns.serving.access import Access
from enforcer.dns.serving.proxy_header import ProxyHeader, parse_proxy_header
from enforcer.metrics import Metrics
from enforcer.policy.addresses import parse_address
from enforcer.policy.model import Address
from enforcer.tls.first_bytes import NEED_MORE

_MAX_MESSAGE_BYTES: Final = 2 + 0xFFFF
# Queries of one connection before others have their turn: a few thousand may come at once,
# and nobody else would be answered meanwhile.
MAX_IN_A_ROW: Final = 64

# A packet, who asks, and where the answer goes.
Take = Callable[[bytes, Asker, Send], None]
# What part of all connections those may hold together who may not ask.
_STRANGERS: Final = 10


class StreamLimits(NamedTuple):
    """What clients may hold (RFC 7766 6.2)."""

    connections: int = 1000
    connections_per_client: int = 100
    pipelined: int = 50  # queries of one connection that wait at once
    idle_s: float = 10.0  # RFC 7766 6.2.3: seconds, not minutes


class Connections:
    """All that are open, under one set of limits."""

    def __init__(
        self,
        take: Take,
        metrics: Metrics,
        limits: StreamLimits,
        proxies: Access,
        clients: Access | None = None,
    ) -> None:
        """``clients`` are those that may ask; None is everybody."""
        self.take = take
        self.limits = limits
        self.proxies = proxies
        self._clients = clients
        self._strangers: set[TcpConnection] = set()
        self.discarded = metrics.dns_discarded
        self._count = metrics.dns_open_connections.cell()
        self._open: set[TcpConnection] = set()
        self._by_client: Counter[Address] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: "TcpConnection", client: Address) -> bool:
        """Whether there is room for one more. The client is a proxy's until it says better."""
        is_proxy = self.proxies.allows(client)
        is_stranger = not (is_proxy or self._clients is None or self._clients.allows(client))
        limits = self.limits
        if (
            len(self._open) >= limits.connections
            or (self._by_client[client] >= limits.connections_per_client and not is_proxy)
            # They are told that they may not ask, but must not keep out those who may.
            or (is_stranger and len(self._strangers) >= max(limits.connections // _STRANGERS, 1))
        ):
            self.discarded.add("too_many_connections")
            return False
        if is_stranger:
            self._strangers.add(connection)
        self._open.add(connection)
        self._by_client[client] += 1
        self._count.value = len(self._open)
        return True

    def forget(self, connection: "TcpConnection", client: Address) -> None:
        self._strangers.discard(connection)
        if connection in self._open:
            self._open.remove(connection)
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]
            self._count.value = len(self._open)

    def close(self) -> None:
        for connection in tuple(self._open):
            connection.close()


class TcpConnection(asyncio.Protocol):
    """One client's connection: messages with their length in front (RFC 1035 4.2.2)."""

    def __init__(
        self,
        connections: Connections,
        transport_name: str = TCP,
        header: ProxyHeader | None = None,
    ) -> None:
        """``header`` is the PROXY header that was read before; what is said goes by it."""
        self._connections = connections
        self._transport_name = transport_name
        self._header = header
        self._awaits_header = False
        self._buffer = bytearray()
        self._waiting = 0
        self._taking = False
        self._turn: asyncio.Handle | None = None
        self._client_ended = False
        self._congested = False
        self._peer: Address
        self._asker: Asker
        self._transport: asyncio.Transport
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._peer = parse_address(transport.get_extra_info("peername")[0])
        client = self._peer
        if self._header is not None:
            client = self._header.client or client
        else:
            self._awaits_header = self._connections.proxies.allows(self._peer)
        self._asker = Asker(client, self._transport_name)
        if not self._connections.admit(self, self._peer):
            self._transport.abort()
            return
        self._rest()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._awaits_header and not self._take_header():
            return
        self._take_queries()

    def eof_received(self) -> bool:
        """What was asked is still answered (RFC 7766 6.2.4); TLS knows no half-closed."""
        self._client_ended = True
        return (self._waiting > 0 or self._turn is not None) and self._transport_name == TCP

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False
        self._take_queries()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 how it was lost
        self._connections.forget(self, self._peer)
        self._buffer.clear()
        for handle in (self._idle, self._turn):
            if handle:
                handle.cancel()

    def close(self) -> None:
        self._transport.close()

    def _take_header(self) -> bool:
        """Whether queries may follow: the PROXY header was all there, and one."""
        header = parse_proxy_header(self._buffer)
        if header is NEED_MORE:
            return False
        if not isinstance(header, ProxyHeader):
            self._connections.discarded.add("proxy_header")
            self._transport.abort()
            return False
        del self._buffer[: header.size_bytes]
        self._awaits_header = False
        self._asker = Asker(header.client or self._peer, self._transport_name)
        return True

    def _take_queries(self) -> None:
        if self._turn is not None:
            return
        self._taking = True
        left = MAX_IN_A_ROW
        while self._may_take():
            if not left:
                self._transport.pause_reading()
                self._turn = asyncio.get_running_loop().call_soon(self._take_turn)
                break
            left -= 1
            end = 2 + int.from_bytes(self._buffer[:2], "big")
            packet = bytes(self._buffer[2:end])
            del self._buffer[:end]
            self._waiting += 1
            self._connections.take(packet, self._asker, self._answer_to(packet))
            self._rest()
        self._taking = False
        if self._transport.is_closing() or self._turn is not None:
            return
        if self._client_ended and not self._waiting and not self._congested:
            self._transport.close()
        elif len(self._buffer) > _MAX_MESSAGE_BYTES:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _take_turn(self) -> None:
        self._turn = None
        self._take_queries()

    def _may_take(self) -> bool:
        """Whether a whole query is there, and there is room for it and its answer."""
        end = 2 + int.from_bytes(self._buffer[:2], "big")
        return (
            len(self._buffer) >= max(end, 3)
            and self._waiting < self._connections.limits.pipelined
            and not self._congested
            and not self._transport.is_closing()
        )

    def _answer_to(self, packet: bytes) -> Send:
        def send(response: bytes | None) -> None:
            self._waiting -= 1
            if self._transport.is_closing():
                return
            if response is None:
                # Whoever sends what is no query is not understood after it, either.
                self._end()
                return
            response = add_stream_options(
                packet,
                response,
                idle_s=self._connections.limits.idle_s,
                encrypted=self._transport_name != TCP,
            )
            self._transport.write(len(response).to_bytes(2, "big") + response)
            if not self._taking:
                self._take_queries()

        return send

    def _rest(self) -> None:
        """Only a whole query counts as a sign of life: who drips bytes is idle."""
        if self._idle:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(
            self._connections.limits.idle_s, self._end_if_idle
        )

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
