"""Answers that were given before, for as long as they may be given again.

Pure: time comes in, and who asks never does. What is kept is what upstream said, not
what the policy made of it: whoever takes it out asks the policy anew.

    hit = cache.get(key, now_s)
    entry = cache.put(key, reply, now_s)  after upstream was asked
    entry.render_for(query, now_s)  the client's answer, to which OPT is still to be added

Kept are answers with data, negative ones (RFC 2308), and failures for a moment (RFC
9520). An answer whose time is over stays as a last resort (RFC 8767).
"""

import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, NamedTuple

from enforcer.dns.packets.answer import Answer, parse_answer
from enforcer.dns.packets.rebuild import rebuild
from enforcer.dns.packets.response import pass_on_flags
from enforcer.dns.packets.wire import HEADER, RCODE, RECORD, TC, Query
from enforcer.policy.names import fold_wire

# Folded qname in wire form, qtype, DO, CD: all that an upstream's answer depends on.
Key = tuple[bytes, int, bool, bool]

STALE_TTL_S: Final = 30  # RFC 8767 5.11
# How long a stale answer is given without asking again, once asking failed (RFC 8767 5).
RECHECK_S: Final = 30.0
# TTLs count down by whole seconds.
_TICK_S: Final = 1.0
# An answer is fetched again when less than this part of its time is left.
_LAST_PART: Final = 10
_NOERROR, _SERVFAIL, _NXDOMAIN = 0, 2, 3
_RCODES_KEPT: Final = frozenset({_NOERROR, _NXDOMAIN})
_EDE_OPTION: Final = 15  # RFC 8914 2
_TTL: Final = struct.Struct("!I")
_TTL_BYTES: Final = 4
_HEADER_BYTES: Final = HEADER.size
_ID_FLAGS: Final = struct.Struct("!HH")
_OPTION_HEAD: Final = struct.Struct("!HH")
# What an entry takes beside its bytes, measured on CPython 3.11: its objects and its place
# in the table, and for each record or hint a piece, its place and what it led to.
_ENTRY_BYTES: Final = 650
_RECORD_BYTES: Final = 170
# No entry takes more than this part of the cache.
_LARGEST_PART: Final = 8


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How much is kept, and how long. ``stale_s`` counts from when an answer's time is over.

    ``min_ttl_s`` makes the TTLs of answers with data longer, the others make TTLs shorter.
    RFC 9520 3.2 allows ``failure_ttl_s`` of 1 to 300.
    """

    size_bytes: int = 64 * 1024 * 1024
    min_ttl_s: int = 0
    max_ttl_s: int = 86400
    max_negative_ttl_s: int = 3600
    failure_ttl_s: int = 5
    stale_s: int = 86400


class Entry:
    """One answer, without OPT. ``answer`` says what it leads to, and where in its bytes.

    ``ede`` holds the Extended DNS Error options that came with it, as they stood.
    """

    __slots__ = (
        "_counts",
        "_flags",
        "_pieces",
        "_put_s",
        "_question",
        "_ttl_s",
        "answer",
        "ede",
        "expires_s",
        "fetched_again",
        "prefetch_s",
        "recheck_s",
        "size_bytes",
    )

    def __init__(
        self, reply: bytes, question_end: int, answer: Answer, ede: bytes, ttl_s: int, now_s: float
    ) -> None:
        self.answer = answer
        self.ede = ede
        self.expires_s = now_s + ttl_s
        self.prefetch_s = self.expires_s - ttl_s / _LAST_PART
        self.recheck_s = 0.0
        self.fetched_again = False
        self._put_s = now_s
        self._ttl_s = ttl_s
        self._flags = reply[2] << 8 | reply[3]
        self._counts = reply[4:_HEADER_BYTES]
        self._question = reply[_HEADER_BYTES:question_end]
        # Joined by a TTL the pieces are the reply again, with this TTL in each record.
        pieces = []
        start = question_end
        for at in answer.ttl_at:
            pieces.append(reply[start:at])
            start = at + _TTL_BYTES
        pieces.append(reply[start:])
        self._pieces = pieces
        parts = len(pieces)
        if answer.services:
            parts += sum(len(service.hints) + 1 for service in answer.services)
        self.size_bytes = len(reply) + _ENTRY_BYTES + _RECORD_BYTES * parts

    @property
    def is_failure(self) -> bool:
        return self._flags & RCODE == _SERVFAIL

    def ttl_s(self, now_s: float) -> int:
        """What is left, for each record the same; for a stale answer STALE_TTL_S."""
        if self.is_stale(now_s):
            return STALE_TTL_S
        # A clock that was set back makes no TTL grow.
        passed_s = int(now_s - self._put_s)
        return self._ttl_s - passed_s if passed_s > 0 else self._ttl_s

    def is_stale(self, now_s: float) -> bool:
        """Whether its time is over, and it is given as a last resort."""
        return now_s >= self.expires_s

    def same_until_s(self, now_s: float) -> float:
        """How long the same bytes may be given: until TTLs count down, or something is due."""
        until_s = min(now_s + _TICK_S, self.expires_s)
        return until_s if self.fetched_again else min(until_s, self.prefetch_s)

    def render(self, now_s: float) -> bytes:
        """The reply with id 0, its TTLs counted down, as upstream wrote it else."""
        return self._render(0, self._flags, self._question, now_s)

    def render_for(self, query: Query, now_s: float) -> bytes:
        """The reply under the query's id, with the question in the client's own letters."""
        flags = pass_on_flags(self._flags, query)
        return self._render(query.id, flags, query.question, now_s)

    def _render(self, ident: int, flags: int, question: bytes, now_s: float) -> bytes:
        ttl = _TTL.pack(self.ttl_s(now_s))
        head = _ID_FLAGS.pack(ident, flags)
        return b"".join((head, self._counts, question, ttl.join(self._pieces)))


class Hit(NamedTuple):
    """What was found. ``stale``: its time is over, and only its want is a reason to give it.

    ``prefetch`` says that upstream should be asked now: beside giving the answer, or for
    a stale one before.
    """

    entry: Entry
    stale: bool
    prefetch: bool


class Cache:
    """The answers that were asked for last. ``now_s`` is seconds of any steady clock."""

    def __init__(self, limits: CacheLimits) -> None:
        self._limits = limits
        self._largest_bytes = limits.size_bytes // _LARGEST_PART
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self.used_bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, now_s: float) -> Hit | None:
        """The answer, unless it is not there or too old even as a last resort.

        An answer in the last tenth of its time is to be fetched again, which is said once.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now_s < entry.prefetch_s:
            self._entries.move_to_end(key)
            return Hit(entry, False, False)
        if now_s < entry.expires_s:
            self._entries.move_to_end(key)
            again, entry.fetched_again = not entry.fetched_again, True
            return Hit(entry, stale=False, prefetch=again and not entry.is_failure)
        if not self._may_be_stale(entry, now_s):
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return Hit(entry, stale=True, prefetch=now_s >= entry.recheck_s)

    def put(self, key: Key, reply: bytes, now_s: float) -> Entry | None:
        """Keep a reply to the key's question. None for one that is not to be kept.

        A failure does not displace an answer that can still be given: that one comes back.
        """
        rcode = reply[3] & RCODE if len(reply) >= _HEADER_BYTES else _SERVFAIL
        if rcode not in _RCODES_KEPT:
            standing = self.failed(key, now_s)
            if standing is not None:
                return standing
        if key in self._entries:
            self._forget(key)
        entry = self._make(key[0], reply, now_s)
        if entry is not None and entry.size_bytes <= self._largest_bytes:
            self._entries[key] = entry
            self.used_bytes += entry.size_bytes
            if self.used_bytes > self._limits.size_bytes:
                self._evict()
        return entry

    def failed(self, key: Key, now_s: float) -> Entry | None:
        """No upstream answered: what can be given all the same, for a while without asking."""
        entry = self._entries.get(key)
        if entry is None or entry.is_failure or not self._may_be_stale(entry, now_s):
            return None
        entry.recheck_s = now_s + RECHECK_S
        return entry

    def clear(self) -> None:
        self._entries.clear()
        self.used_bytes = 0

    def _may_be_stale(self, entry: Entry, now_s: float) -> bool:
        return not entry.is_failure and now_s < entry.expires_s + self._limits.stale_s

    def _forget(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.used_bytes -= entry.size_bytes

    def _evict(self) -> None:
        while self.used_bytes > self._limits.size_bytes:
            _, entry = self._entries.popitem(last=False)
            self.used_bytes -= entry.size_bytes
            self.evicted += 1

    def _make(self, name: bytes, reply: bytes, now_s: float) -> Entry | None:
        question_end = _HEADER_BYTES + len(name) + 4
        answer = parse_answer(reply)
        if (
            answer is None
            or reply[2] << 8 & TC
            or reply[4:6] != b"\0\1"
            or fold_wire(reply[_HEADER_BYTES : question_end - 4]) != name
        ):
            return None
        ede = b""
        if answer.opt_at is not None:
            if reply[answer.opt_at + 5]:  # an extended rcode (RFC 6891 6.1.3)
                return None
            ede = _extended_errors(reply, answer.opt_at)
            without = _without_opt(reply, answer.opt_at)
            if without is None:
                reply = rebuild(reply, {answer.opt_at: None}) or b""
                answer = parse_answer(reply)
                if answer is None:
                    return None
            else:
                reply, answer = without, answer._replace(opt_at=None)
        ttl_s = self._ttl_s(reply[3] & RCODE, answer)
        return Entry(reply, question_end, answer, ede, ttl_s, now_s) if ttl_s > 0 else None

    def _ttl_s(self, rcode: int, answer: Answer) -> int:
        """How long an answer is kept, 0 for not at all."""
        limits = self._limits
        if rcode == _SERVFAIL:
            return 0 if answer.ttl_at else limits.failure_ttl_s
        ttl_s = answer.ttl_s
        if ttl_s is None or rcode not in _RCODES_KEPT:
            return 0
        if answer.negative:
            return min(ttl_s, limits.max_negative_ttl_s)
        if limits.min_ttl_s <= ttl_s <= limits.max_ttl_s:
            return ttl_s
        return min(max(ttl_s, limits.min_ttl_s), limits.max_ttl_s)


def _without_opt(reply: bytes, opt_at: int) -> bytes | None:
    """The reply without an OPT that ends it, as nearly all do; None where it stands elsewhere."""
    length_at = opt_at + 1 + RECORD.size - 2
    length = reply[length_at] << 8 | reply[length_at + 1]
    if length_at + 2 + length != len(reply):
        return None
    additionals = (reply[10] << 8 | reply[11]) - 1
    return b"".join((reply[:10], additionals.to_bytes(2, "big"), reply[HEADER.size : opt_at]))


def _extended_errors(reply: bytes, opt_at: int) -> bytes:
    """RFC 8914: why a resolver failed is of use to the client as well."""
    at = opt_at + 1 + RECORD.size
    end = at + (reply[at - 2] << 8 | reply[at - 1])
    errors = b""
    while at + _OPTION_HEAD.size <= end:
        code, length = _OPTION_HEAD.unpack_from(reply, at)
        start, at = at, at + _OPTION_HEAD.size + length
        if code == _EDE_OPTION and at <= end:
            errors += reply[start:at]
    return errors
