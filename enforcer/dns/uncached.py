"""A reply that is given once and not kept, in the shape of what is: see cache.Entry.

Such as one whose TTL is zero, one that refuses, or one that cannot be read. Pure.
"""

from enforcer.dns.packets.answer import Answer, parse_answer
from enforcer.dns.packets.rebuild import rebuild
from enforcer.dns.packets.response import pass_on_flags
from enforcer.dns.packets.wire import HEADER, Query


class Uncached:
    """``answer`` is None for a reply that cannot be read; it is given as it came then."""

    __slots__ = ("_reply", "answer", "ede")

    def __init__(self, reply: bytes) -> None:
        self.ede = b""
        self._reply = reply
        self.answer: Answer | None = parse_answer(reply)
        if self.answer is not None and self.answer.opt_at is not None:
            # OPT is from one hop to the next (RFC 6891 6.1.1).
            without = rebuild(reply, {self.answer.opt_at: None})
            self.answer = None if without is None else parse_answer(without)
            if without is not None and self.answer is not None:
                self._reply = without

    def ttl_s(self, now_s: float) -> int:  # noqa: ARG002 as an Entry has it
        return 0

    def is_stale(self, now_s: float) -> bool:  # noqa: ARG002 the same
        return False

    def same_until_s(self, now_s: float) -> float:
        """Not again."""
        return now_s

    def render_for(self, query: Query, now_s: float) -> bytes:  # noqa: ARG002 the same
        """Under the query's id, with the question in the client's own letters."""
        reply = self._reply
        if self.answer is None:
            return query.id.to_bytes(2, "big") + reply[2:]
        flags = pass_on_flags(reply[2] << 8 | reply[3], query)
        return b"".join(
            (
                query.id.to_bytes(2, "big"),
                flags.to_bytes(2, "big"),
                reply[4 : HEADER.size],
                query.question,
                reply[HEADER.size + len(query.question) :],
            )
        )
