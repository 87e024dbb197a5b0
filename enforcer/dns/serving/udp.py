"""UDP: a batch of datagrams at a time, most of them answered the quick way.

What the quick path does not know goes on to the server, which says who may ask, and how
often. Several batches are taken at once where they are there, but not without end: other
sockets are the loop's business, too.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, Protocol

from enforcer.dns.ask import UDP, Asker, Send
from enforcer.dns.quick import QuickPath
from enforcer.dns.serving.access import Access
from enforcer.dns.serving.datagrams import Datagrams, ReturnPath
from enforcer.dns.serving.proxy_header import ProxyHeader, parse_proxy_header
from enforcer.dns.serving.rate import RateLimit, packed_key
from enforcer.policy.addresses import unpack_address
from enforcer.policy.model import Address

log = logging.getLogger(__name__)

BATCHES_AT_ONCE: Final = 8
# Of which it is known whether they are proxies, or may ask; others are looked up anew.
MAX_SENDERS: Final = 4096


class Take(Protocol):
    """The server's general road; ``rated`` when the client's rate was counted already."""

    def __call__(self, packet: bytes, asker: Asker, send: Send, *, rated: bool) -> None: ...


class UdpListener:
    """One socket, read from now on."""

    def __init__(
        self,
        sock: socket.socket,
        quick: QuickPath,
        take: Take,
        clock: Callable[[], float],
        *,
        rate: RateLimit | None,
        proxies: Access,
        discard_header: Callable[[], None],
        access: Access | None = None,
    ) -> None:
        self._datagrams = Datagrams(sock)
        self._quick = quick
        self._take = take
        self._clock = clock
        self._rate = rate
        self._discard_header = discard_header
        self._now_s = 0.0
        self._within_rate = True
        self._is_proxy = lru_cache(MAX_SENDERS)(
            lambda packed: proxies.allows(unpack_address(packed))
        )
        self._asker = lru_cache(MAX_SENDERS)(lambda packed: _meet(packed, access))
        self._answer_client = quick.answer if rate is None else self._answer_within_rate
        self._has_proxies = bool(proxies)
        self._answer = self._answer_unless_proxy if proxies else self._answer_client
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    def close(self) -> None:
        """What is answered after this is not sent."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._datagrams.sock)
            self._datagrams.close()

    def _read(self) -> None:
        quick = self._quick
        for _ in range(BATCHES_AT_ONCE):
            self._now_s = self._clock()
            try:
                with quick.lock:
                    quick.begin(self._now_s)
                    taken = self._datagrams.take(self._answer, self._hand_on)
            except Exception:
                # A fault of our own costs a batch, not the socket.
                log.exception("a batch of queries failed for a reason of our own")
                break
            if not taken:
                break

    def _answer_unless_proxy(self, packet: bytes, sender: bytes) -> bytes | None:
        """A proxy's datagram begins with a header, or is nobody's question."""
        return None if self._is_proxy(sender) else self._answer_client(packet, sender)

    def _answer_within_rate(self, packet: bytes, client: bytes) -> bytes | None:
        assert self._rate is not None  # noqa: S101 else it is not called
        self._within_rate = self._rate.take(packed_key(client), self._now_s)
        return self._quick.answer(packet, client) if self._within_rate else None

    def _hand_on(self, packet: bytes, sender: bytes, path: ReturnPath) -> None:
        if self._has_proxies and self._is_proxy(sender):
            self._hand_on_proxied(packet, unpack_address(sender), path)
        else:
            rated = self._rate is not None and self._within_rate
            self._take(packet, self._asker(sender), partial(self._send, path), rated=rated)

    def _hand_on_proxied(self, packet: bytes, proxy: Address, path: ReturnPath) -> None:
        header = parse_proxy_header(packet)
        if not isinstance(header, ProxyHeader):
            self._discard_header()
            return
        packet, client = packet[header.size_bytes :], header.client or proxy
        answer = self._quick.answer(packet, client.packed) if self._rate is None else None
        if answer is not None:
            self._datagrams.send(answer, path)
        else:
            self._take(packet, Asker(client, UDP), partial(self._send, path), rated=False)

    def _send(self, path: ReturnPath, response: bytes | None) -> None:
        if response is not None and not self._closed:
            self._datagrams.send(response, path)


def _meet(packed: bytes, access: Access | None) -> Asker:
    client = unpack_address(packed)
    return Asker(client, UDP, admitted=access is not None and access.allows(client))
