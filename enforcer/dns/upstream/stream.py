"""TCP, TLS and HTTPS to one upstream: few connections, used again, with many queries on each.

RFC 7766 6.2, RFC 7858 3.3. What they have in common stands here; how messages lie in the
stream is the framing's business. A query on a connection that the upstream closed before
it answered is sent once more on a new one.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, cast

from enforcer.dns.upstream.attempt import Attempt, Ending
from enforcer.dns.upstream.query import Randomness, build_query
from enforcer.dns.upstream.reply_match import Mismatch, match_reply
from enforcer.dns.upstream.stream_framing import Framing, FramingError
from enforcer.dns.upstream.tls import ResumingContext
from enforcer.settings.upstream import Upstream

MAX_CONNECTIONS: Final = 4
PIPELINED: Final = 100
"""So many wait on one connection before another is opened."""
MAX_WAITING: Final = 2000
"""So many wait on one connection at most."""
IDLE_S: Final = 10.0  # RFC 7766 6.2.3: seconds
CONNECT_TIMEOUT_S: Final = 5.0
_MAX_STRAYS: Final = 16
_MAX_UNWRITTEN_BYTES: Final = 1 << 20


class StreamChannel:
    """``build_framing`` makes one for each connection; ``tls`` is None for plain TCP."""

    def __init__(
        self,
        upstream: Upstream,
        build_framing: Callable[[], Framing],
        ignored: Callable[[Mismatch], None],
        random: Randomness,
        monotonic: Callable[[], float],
        tls: ResumingContext | None = None,
    ) -> None:
        self.upstream = upstream
        self.tls = tls
        self.build_framing = build_framing
        self.ignored = ignored
        self.random = random
        self.monotonic = monotonic
        self.distrust = ""
        self.connections: list[_Connection] = []
        self._connecting: set[asyncio.Task[None]] = set()

    def send(self, attempt: Attempt) -> None:
        connection = self._pick()
        if connection is None:
            attempt.listener.failed(attempt, Ending.UNREACHABLE, self.monotonic())
        else:
            connection.send(attempt)

    def forget(self, attempt: Attempt, now_s: float) -> None:
        if isinstance(attempt.holder, _Connection):
            attempt.holder.forget(attempt, now_s)

    def close(self) -> None:
        for task in self._connecting:
            task.cancel()
        for connection in tuple(self.connections):
            connection.abandon()

    def _pick(self) -> "_Connection | None":
        usable = [connection for connection in self.connections if connection.has_room]
        best = min(usable, key=_Connection.load, default=None)
        if best is not None and (
            best.load() < PIPELINED or len(self.connections) >= MAX_CONNECTIONS
        ):
            return best
        if len(self.connections) >= MAX_CONNECTIONS:
            return None
        connection = _Connection(self)
        self.connections.append(connection)
        task = asyncio.get_running_loop().create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return connection

    async def _connect(self, connection: "_Connection") -> None:
        upstream = self.upstream
        name = upstream.name if self.tls else None
        ending = Ending.UNREACHABLE
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, *upstream.endpoint, ssl=self.tls, server_hostname=name
                )
        except ssl.CertificateError as error:
            ending = Ending.UNTRUSTED
            self.distrust = error.verify_message
        except (OSError, TimeoutError):
            pass
        else:
            return
        connection.end(ending, retry=False)


class _Connection(asyncio.Protocol):
    """One connection, from before it is there. What there is no room for yet waits."""

    def __init__(self, channel: StreamChannel) -> None:
        self._channel = channel
        self._framing = channel.build_framing()
        self._transport: asyncio.Transport | None = None
        self._early: list[Attempt] = []
        self._waiting: dict[int, Attempt] = {}
        self._late: set[int] = set()
        self._strays = 0
        self._session_wanted_by = channel.tls
        self._congested = False
        self._ended = False
        self._heard_s = 0.0
        self._used_s = 0.0
        self._idle: asyncio.TimerHandle | None = None

    def load(self) -> int:
        return len(self._waiting) + len(self._early)

    @property
    def has_room(self) -> bool:
        return not (self._framing.is_ending or self._congested or self.load() >= MAX_WAITING)

    def send(self, attempt: Attempt) -> None:
        attempt.holder = self
        if self._transport is None or not self._framing.has_room:
            self._early.append(attempt)
        else:
            self._write(self._transport, attempt)

    def _write(self, transport: asyncio.Transport, attempt: Attempt) -> None:
        ident = self._framing.choose_id(self, self._channel.random.take_id)
        message = build_query(ident, attempt.flags, attempt.question, attempt.opt)
        try:
            key, data = self._framing.send(message)
        except FramingError:
            self._early.append(attempt)
            self.end(Ending.UNREACHABLE, retry=True)
            return
        attempt.key = key
        attempt.sent_question = attempt.question
        self._waiting[key] = attempt
        self._used_s = attempt.sent_s
        transport.write(data)

    def _write_early(self) -> None:
        early, self._early = self._early, []
        for attempt in early:
            self.send(attempt)

    def __contains__(self, ident: object) -> bool:
        """Whether an id is taken."""
        return ident in self._waiting or ident in self._late

    def forget(self, attempt: Attempt, now_s: float) -> None:
        if attempt in self._early:
            self._early.remove(attempt)
        elif self._waiting.get(attempt.key) is attempt:
            del self._waiting[attempt.key]
            self._late.add(attempt.key)
        else:
            return
        silent = now_s >= attempt.expires_s and self._heard_s < attempt.sent_s
        if silent or len(self._late) > MAX_WAITING:
            # A whole message is a sign of life; who drips bytes is as good as gone.
            self.end(Ending.TIMEOUT, retry=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._ended:
            self._transport.abort()
            return
        # HTTP/2 is not spoken to who did not agree to it.
        tls = transport.get_extra_info("ssl_object")
        self._transport.set_write_buffer_limits(_MAX_UNWRITTEN_BYTES)
        if start := self._framing.start():
            agreed = tls.selected_alpn_protocol() if tls else None
            if agreed != "h2":
                self.end(Ending.MALFORMED, retry=False)
                return
            self._transport.write(start)
        self._watch_idleness()
        self._write_early()

    def data_received(self, data: bytes) -> None:
        now_s = self._channel.monotonic()
        try:
            for key, message in self._framing.receive(data):
                self._take(key, message, now_s)
        except FramingError:
            self.end(Ending.MALFORMED, retry=False)
            return
        if self._transport is not None and (answer := self._framing.answer()):
            self._transport.write(answer)
        if self._early:
            self._write_early()

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 how it was lost
        self.end(Ending.UNREACHABLE, retry=True)

    def end(self, ending: Ending, *, retry: bool) -> None:
        """Close; what waits goes once to another connection if it may, or has failed."""
        waiting = [*self._waiting.values(), *self._early]
        self.abandon()
        now_s = self._channel.monotonic()
        for attempt in waiting:
            if retry and not attempt.resent:
                attempt.resent = True
                self._channel.send(attempt)
            else:
                attempt.listener.failed(attempt, ending, now_s)

    def abandon(self) -> None:
        self._ended = True
        self._waiting.clear()
        self._early.clear()
        if self in self._channel.connections:
            self._channel.connections.remove(self)
        if self._idle:
            self._idle.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _take(self, key: int, message: bytes | None, now_s: float) -> None:
        attempt = self._waiting.get(key)
        if attempt is None:
            if key in self._late:
                self._late.discard(key)
                self._heard_s = now_s
            elif message is not None:
                self._stray(Mismatch.OTHER_ID)
            return
        if message is None:
            del self._waiting[key]
            attempt.listener.failed(attempt, Ending.MALFORMED, now_s)
            return
        # Nobody on the way can add a message, so the case of letters is no secret here.
        mismatch = match_reply(message, attempt.question, exact_case=False)
        if mismatch is None:
            mismatch = attempt.listener.replied(attempt, message, now_s)
        if mismatch is not None:
            self._stray(mismatch)
            return
        self._waiting.pop(key, None)
        self._heard_s = now_s
        tls, self._session_wanted_by = self._session_wanted_by, None
        if tls is not None and self._transport is not None:
            tls.keep_session(self._transport.get_extra_info("ssl_object"))

    def _stray(self, mismatch: Mismatch) -> None:
        self._channel.ignored(mismatch)
        self._strays += 1
        if self._strays > _MAX_STRAYS:
            raise FramingError("too many messages that nobody asked for")

    def _watch_idleness(self) -> None:
        now_s = self._channel.monotonic()
        if self._idle and not self._waiting and now_s - self._used_s >= IDLE_S:
            self.abandon()
            return
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._watch_idleness)
