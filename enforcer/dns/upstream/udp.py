"""UDP to one upstream: unconnected sockets on ports of the kernel's choice, used in turn.

Each query takes one of several sockets at random and an id at random, in letters of
random case; a socket is given up after some queries or seconds, so that its port is not
worth finding out (RFC 5452, RFC 9715). Sockets are not connected, since the kernel would
drop what comes from elsewhere before it could be counted.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from enforcer.dns.packets.wire import HEADER
from enforcer.dns.upstream.attempt import Attempt, Ending
from enforcer.dns.upstream.query import (
    MAX_UDP_BYTES,
    Randomness,
    build_query,
    randomise_case,
)
from enforcer.dns.upstream.reply_match import Mismatch, match_reply
from enforcer.settings.endpoint import Endpoint

SOCKETS: Final = 16  # a power of two: chosen by a random byte
QUERIES_PER_SOCKET: Final = 128
SECONDS_PER_SOCKET: Final = 10.0
# linux/in.h, linux/in6.h: the errors that ICMP tells of come to an unconnected socket too.
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = 0x2000
# Id and choice of socket; the bits for the letters' case come after.
_RANDOM_BYTES: Final = 3
_MAX_ERRORS: Final = 64


class _Socket:
    """One port: which attempts wait on it, by id, and what was given up on it."""

    __slots__ = ("fileno", "late", "left", "receive", "retired", "retires_s", "socket", "waiting")

    def __init__(self, bound: socket.socket, now_s: float) -> None:
        self.socket = bound
        self.receive = bound.recvfrom
        self.fileno = bound.fileno()
        self.waiting: dict[int, Attempt] = {}
        self.late: set[int] = set()
        self.left = QUERIES_PER_SOCKET
        self.retires_s = now_s + SECONDS_PER_SOCKET
        self.retired = False


class UdpChannel:
    """``ignored`` is called for each datagram that is no reply to what was asked."""

    def __init__(
        self,
        endpoint: Endpoint,
        ignored: Callable[[Mismatch], None],
        random: Randomness,
        monotonic: Callable[[], float],
        *,
        randomise: bool,
    ) -> None:
        self.distrust = ""
        self._endpoint = endpoint
        self._family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        self._address: tuple[Any, ...] = ()
        self._ignored = ignored
        self._random = random
        self._monotonic = monotonic
        self._randomise = randomise
        self._pool: list[_Socket | None] = [None] * SOCKETS
        self._open: set[_Socket] = set()

    def send(self, attempt: Attempt) -> None:
        question = attempt.question
        random = self._random.take(_RANDOM_BYTES + len(question))
        index = random[2] % SOCKETS
        held = self._pool[index]
        if held is not None and held.left and attempt.sent_s < held.retires_s:
            held.left -= 1
        else:
            try:
                held = self._replace(index, attempt.sent_s)
            except OSError:
                attempt.listener.failed(attempt, Ending.UNREACHABLE, attempt.sent_s)
                return
        ident = random[0] << 8 | random[1]
        while ident in held.waiting or ident in held.late:
            ident = self._random.take_id()
        if self._randomise:
            question = randomise_case(question, random[_RANDOM_BYTES:])
            attempt.sent_question = question
        attempt.key = ident
        attempt.holder = held
        held.waiting[ident] = attempt
        message = build_query(ident, attempt.flags, question, attempt.opt)
        try:
            held.socket.sendto(message, self._address)
        except BlockingIOError:
            return  # as good as lost on the way
        except OSError:
            # An ICMP error for an earlier query is told here too, and then nothing was sent.
            self._take_errors(held)
            if held.waiting.get(ident) is not attempt:
                return
            try:
                held.socket.sendto(message, self._address)
            except OSError:
                del held.waiting[ident]
                self._close_if_done(held)
                attempt.listener.failed(attempt, Ending.UNREACHABLE, attempt.sent_s)

    def forget(self, attempt: Attempt, now_s: float) -> None:  # noqa: ARG002 streams want it
        held = attempt.holder
        if isinstance(held, _Socket) and held.waiting.get(attempt.key) is attempt:
            del held.waiting[attempt.key]
            held.late.add(attempt.key)
            self._close_if_done(held)

    def close(self) -> None:
        for held in tuple(self._open):
            self._close(held)
        self._pool = [None] * SOCKETS

    def _replace(self, index: int, now_s: float) -> _Socket:
        held = self._pool[index]
        if held is not None:
            held.retired = True
            self._close_if_done(held)
        self._pool[index] = None
        held = self._pool[index] = self._bind(now_s)
        return held

    def _bind(self, now_s: float) -> _Socket:
        if not self._address:
            # A scope (fe80::1%eth0) is looked up among the interfaces, which may come late.
            self._address = socket.getaddrinfo(
                *self._endpoint, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
            )[0][4]
        bound = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            if self._family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
                bound.bind(("::", 0))
            else:
                bound.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
                bound.bind(("0.0.0.0", 0))  # noqa: S104 the kernel chooses address and port
            held = _Socket(bound, now_s)
            asyncio.get_running_loop().add_reader(held.fileno, self._receive, held)
        except OSError:
            bound.close()
            raise
        self._open.add(held)
        return held

    def _close_if_done(self, held: _Socket) -> None:
        if held.retired and not held.waiting:
            self._close(held)

    def _close(self, held: _Socket) -> None:
        if held in self._open:
            self._open.discard(held)
            asyncio.get_running_loop().remove_reader(held.fileno)
            held.socket.close()

    def _receive(self, held: _Socket) -> None:
        """One datagram; the loop calls again while there are more."""
        try:
            # A byte more than may come tells what is too large.
            reply, address = held.receive(MAX_UDP_BYTES + 1)
        except BlockingIOError:
            return
        except OSError:
            self._take_errors(held)
            return
        mismatch = self._take(held, reply, address)
        if mismatch is not None:
            self._ignored(mismatch)

    def _take(self, held: _Socket, reply: bytes, address: tuple[Any, ...]) -> Mismatch | None:
        if address != self._address:
            return Mismatch.OTHER_ADDRESS
        if len(reply) > MAX_UDP_BYTES:
            return Mismatch.OVERSIZE
        if len(reply) < HEADER.size:
            return Mismatch.MALFORMED
        ident = reply[0] << 8 | reply[1]
        attempt = held.waiting.get(ident)
        if attempt is None:
            return None if ident in held.late else Mismatch.OTHER_ID
        mismatch = match_reply(reply, attempt.sent_question, exact_case=self._randomise)
        if mismatch is None:
            mismatch = attempt.listener.replied(attempt, reply, self._monotonic())
            if mismatch is None:
                held.waiting.pop(ident, None)
                if held.retired:
                    self._close_if_done(held)
        elif mismatch is Mismatch.OTHER_CASE:
            attempt.listener.lost_case(attempt, self._monotonic())
        return mismatch

    def _take_errors(self, held: _Socket) -> None:
        """Each tells which query it is about: it comes with the bytes that were sent."""
        loop = asyncio.get_running_loop()
        for _ in range(_MAX_ERRORS):
            try:
                sent = held.socket.recvmsg(2, 0, _MSG_ERRQUEUE)[0]
            except OSError:
                break
            attempt = held.waiting.pop(int.from_bytes(sent, "big"), None)
            if attempt is not None:
                # Not from here: who is told sends again, and may come here again.
                loop.call_soon(self._tell_unreachable, attempt)
        self._close_if_done(held)
        if held in self._open:
            # libuv stops to watch a descriptor that has an error.
            loop.remove_reader(held.fileno)
            loop.add_reader(held.fileno, self._receive, held)

    def _tell_unreachable(self, attempt: Attempt) -> None:
        attempt.listener.failed(attempt, Ending.UNREACHABLE, self._monotonic())
