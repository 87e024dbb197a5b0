"""One question on its way: which upstream is asked, what its reply is worth, who is asked next.

Sans-I/O: channels send, the forwarder's clock says when time is up. Whoever asks the same
meanwhile joins. The first reply that helps is the answer; one that refuses or fails
(SERVFAIL, REFUSED and the like) is kept in case that none is better. An upstream that is
silent for longer than it used to be is not given up, but another is asked beside it.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from enforcer.dns.packets.wire import IN, Query
from enforcer.dns.upstream.attempt import Attempt, Ending
from enforcer.dns.upstream.cookies import CookieFault, UpstreamReply, read_reply
from enforcer.dns.upstream.health import Choice
from enforcer.dns.upstream.link import UpstreamLink
from enforcer.dns.upstream.reply_match import Mismatch, restore_question

# A single upstream is asked twice, since UDP may lose a packet.
MIN_ATTEMPTS: Final = 2
MAX_ATTEMPTS: Final = 6
# What one reply may lead to beside the next upstream: TCP, another cookie, no EDNS.
MAX_REPEATS: Final = 4
_RCODE: Final = 0xF
_TC: Final = 0x02  # in the third byte
_IN: Final = IN.to_bytes(2, "big")
_UNHELPFUL: Final = frozenset({1, 2, 4, 5})  # FORMERR, SERVFAIL, NOTIMP, REFUSED
_NO_EDNS: Final = frozenset({1, 4, 16})  # FORMERR, NOTIMP, BADVERS: RFC 6891 7, 6.1.3

Deliver = Callable[[bytes | None], None]


class Group:
    """Upstreams of which any may be asked for a name."""

    def __init__(self, links: Sequence[UpstreamLink]) -> None:
        self.links = tuple(links)
        self.choice = Choice([link.health for link in links])
        count = len(self.links)
        self.attempts = min(max(count, MIN_ATTEMPTS), MAX_ATTEMPTS)


class Limits(NamedTuple):
    """Seconds for one upstream, and for the whole question."""

    timeout_s: float
    total_s: float


class Inquiry:
    """``ended`` is called once, when the answer has gone out to all who wait for it."""

    __slots__ = (
        "_best",
        "_deadline_s",
        "_ended",
        "_give_way_s",
        "_group",
        "_left",
        "_limits",
        "_next",
        "_open",
        "_order",
        "_plain",
        "_repeats",
        "_subnet",
        "_waiters",
        "due_s",
        "key",
        "query",
    )

    def __init__(
        self,
        query: Query,
        key: object,
        group: Group,
        limits: Limits,
        ended: "Callable[[Inquiry], None]",
        now_s: float,
        subnet: bytes = b"",
    ) -> None:
        self.query = query
        self.key = key
        self._group = group
        self._limits = limits
        self._ended: Callable[[Inquiry], None] | None = ended
        self._subnet = subnet
        self._waiters: list[tuple[Query, Deliver]] = []
        self._open: list[Attempt] = []
        self._best: bytes | None = None
        self._left = group.attempts
        self._repeats = MAX_REPEATS
        self._next = 0
        self._plain = False
        self._order = group.choice.order(now_s)
        self._deadline_s = self._give_way_s = self.due_s = now_s + limits.total_s
        """When ``tick`` is wanted."""

    def join(self, query: Query, deliver: Deliver) -> None:
        """``deliver`` gets the reply as ``query`` wants it, once, and must not raise."""
        self._waiters.append((query, deliver))

    def begin(self, now_s: float) -> None:
        self._ask_next(now_s)
        if len(self._order) > 1 and not self.is_answered:
            trial = self._group.choice.trial(now_s)
            if trial is not None:
                self._send(self._group.links[trial], now_s)

    @property
    def is_answered(self) -> bool:
        return self._ended is None

    @property
    def is_over(self) -> bool:
        """Answered, and nothing is on its way any more."""
        return self._ended is None and not self._open

    def tick(self, now_s: float) -> None:
        """Time has passed: give up, or ask another too. To be called once ``due_s`` is there."""
        for attempt in tuple(self._open):
            if now_s >= attempt.expires_s:
                attempt.channel.forget(attempt, now_s)
                self.failed(attempt, Ending.TIMEOUT, now_s)
        if not self.is_answered:
            if now_s >= self._deadline_s:
                self._finish(self._best)
            elif now_s >= self._give_way_s:
                for attempt in self._open:
                    attempt.link.health.was_silent(now_s)
                self._group.choice.review()
                self._ask_next(now_s)
        expiries = [attempt.expires_s for attempt in self._open]
        if not self.is_answered:
            expiries += self._give_way_s, self._deadline_s
        self.due_s = min(expiries, default=now_s)

    def give_up(self) -> None:
        """Nobody will answer any more: the forwarder is closed."""
        self._open.clear()
        if not self.is_answered:
            self._finish(None)

    def replied(self, attempt: Attempt, reply: bytes, now_s: float) -> Mismatch | None:
        if attempt not in self._open:
            return None
        link = attempt.link
        read = read_reply(reply, link.cookies, keep_opt=self.query.edns is not None)
        message, extended_rcode, fault = read
        if fault is not None and fault is CookieFault.OTHER:
            return Mismatch.OTHER_COOKIE
        self._open.remove(attempt)
        link.answered.value += 1
        rcode = extended_rcode << 4 | message[3] & _RCODE
        helpful = not rcode or (rcode not in _UNHELPFUL and not extended_rcode)
        if helpful:
            # How long TCP takes says nothing of UDP.
            rtt_s = None if link.is_beside(attempt.channel) else now_s - attempt.sent_s
            link.was_heard(rtt_s)
        else:
            link.was_unhelpful(now_s)
        if self._ended is None:
            return None
        truncated = message[2] & _TC
        nothing_wrong = helpful and fault is None and not truncated
        if not nothing_wrong and self._asked_otherwise(attempt, read, rcode, now_s):
            return None
        if helpful and not truncated:
            if self._plain and not attempt.opt:
                link.does_not_know_edns(now_s)
            self._finish(message)
            return None
        if not (extended_rcode or truncated):
            # Without the extended code, or the rest, it would say something else.
            self._best = self._best or message
        self._go_on(now_s)
        return None

    def _asked_otherwise(
        self, attempt: Attempt, read: UpstreamReply, rcode: int, now_s: float
    ) -> bool:
        """Whether the reply made us ask the same upstream again, in another way."""
        link = attempt.link
        beside = link.is_beside(attempt.channel)
        wants_stream = read.message[2] & _TC or read.fault is CookieFault.MISSING
        plain = rcode in _NO_EDNS and bool(attempt.opt)
        if wants_stream and link.has_stream_beside and not beside:
            self._repeat(link, now_s, over_stream=True)
        elif read.fault is CookieFault.BAD or plain:
            self._repeat(link, now_s, over_stream=beside, plain=plain)
        else:
            return False
        return True

    def failed(self, attempt: Attempt, ending: Ending, now_s: float) -> None:
        if attempt not in self._open:
            return
        self._open.remove(attempt)
        attempt.link.has_failed(attempt.channel, ending, now_s)
        self._group.choice.review()
        if not self.is_answered:
            self._go_on(now_s)

    def lost_case(self, attempt: Attempt, now_s: float) -> None:
        if attempt in self._open and not self.is_answered and self._repeats:
            attempt.link.lost_case(now_s)
            self._repeat(attempt.link, now_s)

    def _go_on(self, now_s: float) -> None:
        if not self._ask_next(now_s) and not self._open and not self.is_answered:
            self._finish(self._best)

    def _ask_next(self, now_s: float) -> bool:
        """False when there is nobody left to ask."""
        if not self._left or now_s >= self._deadline_s:
            self._give_way_s = self._deadline_s
            return False
        link = self._group.links[self._order[self._next % len(self._order)]]
        self._left -= 1
        self._next += 1
        due_s = now_s + link.health.patience_s(self._limits.timeout_s)
        self.due_s = self._give_way_s = min(due_s, self._deadline_s)
        self._send(link, now_s)
        return True

    def _repeat(
        self, link: UpstreamLink, now_s: float, *, over_stream: bool = False, plain: bool = False
    ) -> None:
        """The same upstream, asked otherwise."""
        if not self._repeats:
            self._go_on(now_s)
            return
        self._repeats -= 1
        self._plain = plain
        self._send(link, now_s, over_stream=over_stream, plain=plain)

    def _send(
        self, link: UpstreamLink, now_s: float, *, over_stream: bool = False, plain: bool = False
    ) -> None:
        _, flags, _, _, question, edns = self.query
        # A client may say ANY for the class, which few upstreams know; what is kept is of IN.
        question = question[:-2] + _IN
        channel = link.channel(now_s, over_stream=over_stream)
        opt = b"" if plain else link.opt(now_s, edns, self._subnet)
        expires_s = min(now_s + self._limits.timeout_s, self._deadline_s)
        attempt = Attempt(self, link, channel, flags, question, opt, now_s, expires_s)
        self._open.append(attempt)
        channel.send(attempt)

    def _finish(self, reply: bytes | None) -> None:
        ended, self._ended = self._ended, None
        if ended:
            ended(self)
        waiters, self._waiters = self._waiters, []
        for query, deliver in waiters:
            if reply is not None:
                deliver(restore_question(reply, query.id, query.question))
            else:
                deliver(None)
