"""One query to one upstream and its reply: UDP, and TCP where that does not hold it.

Each query has a socket of its own, so its port is the kernel's random choice, and a
random id: a reply must match both, and the question (RFC 5452).
"""

import asyncio
import secrets

from enforcer.dns.response import build_opt
from enforcer.dns.wire import HEADER, QR, TC, Query
from enforcer.policy.names import fold_wire
from enforcer.settings.endpoint import Endpoint


class UpstreamError(Exception):
    """The upstream gave no usable reply; the message is a metric label."""


def build_upstream_query(query: Query) -> bytes:
    """The client's question with our own id and OPT; what else the client sent stays here."""
    opt = build_opt(query)
    ident = secrets.randbits(16)
    return HEADER.pack(ident, query.flags, 1, 0, 0, bool(opt)) + query.question + opt


async def ask_upstream(upstream: Endpoint, query: bytes, question: bytes) -> bytes:
    """The reply. Raises UpstreamError. The caller limits the time."""
    try:
        reply = await _ask_udp(upstream, query, question)
        if int.from_bytes(reply[2:4], "big") & TC:
            reply = await _ask_tcp(upstream, query, question)
    except (OSError, asyncio.IncompleteReadError):
        raise UpstreamError("unreachable") from None
    return reply


def _matches(reply: bytes, query: bytes, question: bytes) -> bool:
    end = HEADER.size + len(question)
    return (
        reply[:2] == query[:2]
        and len(reply) >= end
        and bool(reply[2] << 8 & QR)
        and reply[4:6] == b"\0\1"
        and fold_wire(reply[HEADER.size : end - 4]) == fold_wire(question[:-4])
        and reply[end - 4 : end] == question[-4:]  # type and class: "a" and "A" differ
    )


class _UdpExchange(asyncio.DatagramProtocol):
    """Waits for the one datagram that matches; whatever else arrives is ignored."""

    def __init__(self, query: bytes, question: bytes) -> None:
        self._query = query
        self._question = question
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 connected
        if not self.reply.done() and _matches(data, self._query, self._question):
            self.reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc or ConnectionAbortedError())
            # Whoever was cancelled does not look any more.
            self.reply.exception()


async def _ask_udp(upstream: Endpoint, query: bytes, question: bytes) -> bytes:
    transport, exchange = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _UdpExchange(query, question), remote_addr=upstream
    )
    try:
        transport.sendto(query)
        return await exchange.reply
    finally:
        transport.close()


async def _ask_tcp(upstream: Endpoint, query: bytes, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*upstream)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(await reader.readexactly(2), "big")
        reply = await reader.readexactly(length)
    finally:
        writer.transport.abort()
    if not _matches(reply, query, question):
        raise UpstreamError("malformed")
    return reply
