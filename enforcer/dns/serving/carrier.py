"""The way of each Ask to the upstreams, and of the replies back to the responder.

No task is made for it: the forwarder calls back. Bounded: so many queries wait at once.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from enforcer.dns.ask import Ask, Asker, Send
from enforcer.dns.responder import Responder
from enforcer.dns.upstream.forwarder import Forwarder
from enforcer.metrics import Metrics

log = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000
# One client may have so many of them wait: what it asks of servers that are silent must not
# keep others out.
_SHARES: Final = 4
# RFC 8767 5: how long a client waits before it gets what was good before.
OLDER_AFTER_S: Final = 1.8
_FAULT: Final = "a query failed for a reason of our own"


class Carrier:
    """One for all sockets."""

    def __init__(
        self,
        responder: Responder,
        forwarder: Forwarder,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._responder = responder
        self._forwarder = forwarder
        self._discarded = metrics.dns_discarded
        self._clock = clock
        self._max_waiting = max_waiting
        self._max_of_one = max(max_waiting // _SHARES, 1)
        self.waiting = 0
        self.waiting_of: dict[int, int] = {}
        self._idle: asyncio.Event | None = None

    def take(self, packet: bytes, asker: Asker, send: Send) -> None:
        """Answer one query, now or later: ``send`` is called once, with None for no answer."""
        try:
            outcome = self._responder.answer(packet, asker, self._clock())
            self._go_on(outcome, send)
        except Exception:
            # A fault of our own must not take the socket down with it.
            log.exception(_FAULT)
            self._discarded.add("internal_error")
            send(None)

    async def drain(self, timeout_s: float) -> None:
        """Wait until nothing waits any more, or for so long."""
        if not self.waiting:
            return
        self._idle = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()

    def _go_on(self, outcome: bytes | Ask | None, send: Send) -> None:
        if not isinstance(outcome, Ask):
            send(outcome)
        elif not self._has_room(outcome):
            send(self._responder.overloaded(outcome))
        else:
            _Errand(self, outcome, send).begin()
        # Nobody waits for these; where there is no room they are not made.
        later = self._responder.later
        while later:
            ask = later.pop()
            if self.waiting < self._max_waiting:
                _Errand(self, ask, _to_nobody).begin()

    def _has_room(self, ask: Ask) -> bool:
        return (
            self.waiting < self._max_waiting
            and self.waiting_of.get(_whose(ask), 0) < self._max_of_one
        )

    def _end(self, errand: "_Errand") -> None:
        self.waiting -= 1
        left = self.waiting_of[errand.whose] - 1
        if left:
            self.waiting_of[errand.whose] = left
        else:
            del self.waiting_of[errand.whose]
        try:
            outcome = self._responder.resume(errand.ask, errand.replies, self._clock())
            self._go_on(outcome, errand.send)
        except Exception:
            log.exception(_FAULT)
            self._discarded.add("internal_error")
            errand.send(None)
        # One question may lead to the next: only now is it known to be over.
        if self._idle and not self.waiting:
            self._idle.set()

    def _give_older(self, errand: "_Errand") -> None:
        """Once; the reply that comes after all is only kept."""
        try:
            outcome = self._responder.give_older(errand.ask, self._clock())
        except Exception:
            log.exception(_FAULT)
            self._discarded.add("internal_error")
            return
        if not isinstance(outcome, Ask):
            send, errand.send = errand.send, _to_nobody
            errand.ask = errand.ask._replace(asked=None)
            send(outcome)


class _Errand:
    """One Ask on its way."""

    __slots__ = ("_carrier", "_left", "_timer", "ask", "replies", "send", "whose")

    def __init__(self, carrier: Carrier, ask: Ask, send: Send) -> None:
        self._carrier = carrier
        self._left = len(ask.queries)
        self._timer: asyncio.TimerHandle | None = None
        self.ask = ask
        self.send = send
        self.whose = _whose(ask)
        self.replies: list[bytes | None] = [None] * self._left

    def begin(self) -> None:
        carrier, ask = self._carrier, self.ask
        carrier.waiting += 1
        carrier.waiting_of[self.whose] = carrier.waiting_of.get(self.whose, 0) + 1
        if ask.older:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(OLDER_AFTER_S, carrier._give_older, self)
        for index, query in enumerate(ask.queries):
            carrier._forwarder.submit(query, partial(self._take, index))

    def _take(self, index: int, reply: bytes | None) -> None:
        self.replies[index] = reply
        self._left -= 1
        if not self._left:
            if self._timer:
                self._timer.cancel()
            self._carrier._end(self)


def _whose(ask: Ask) -> int:
    """The client's address as a number; 0 for what nobody waits for."""
    return int(ask.asked.asker.client) if ask.asked else 0


def _to_nobody(_: bytes | None) -> None:
    pass
