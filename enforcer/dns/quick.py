"""Answers given before, given again: the road of nearly every query. Sans-I/O.

The responder says how a question was answered (``learn``); until the policy, its hours or
the answer's time change, the same question gets the same bytes under its own id. A
question is the same when all of its packet is, but for id and the letters of its name;
clients that the policy tells apart have tables of their own.

Nothing is decided here, and nothing is left out: each answer is counted, and noted for
the record per client, which ``drain`` turns into events. In a flood, past so many different
ones, an event keeps its rule and its count, as in ``audit/window``.
docs/decisions/0008 has the figures.
"""

import threading
from collections.abc import Callable
from typing import Final

from enforcer.audit.event import AuditEvent
from enforcer.audit.window import LEFT_OUT
from enforcer.dns.packets.response import MAX_UDP_BYTES
from enforcer.dns.packets.wire import HEADER
from enforcer.metrics import Cell
from enforcer.policy.addresses import unpack_address
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import Address
from enforcer.policy.names import fold_wire

# About half a KB each.
MAX_KNOWN: Final = 32_768
MAX_CLIENTS: Final = 65_536
# Of flags, type and EDNS, for each class of clients. A client can make up many, so that
# the one that is used for the fewest names makes room.
MAX_SHAPES: Final = 256
# Clients with a name each between two drains, of those on record. Storing and logging one
# costs as much as answering several times; more of them in one interval are a flood.
MAX_RECORDED: Final = 1_000
# The same of those that are only granted, which costs memory and nothing else.
MAX_GRANTED: Final = 10_000
# Type and class behind the name, and OPT. With an option in it, such as a cookie, no two
# packets are the same.
_PLAIN_TAIL_BYTES: Final = (4, 15)
# Where a policy has time windows, they begin and end on the minute.
_WINDOW_S: Final = 60

# Occurrences, first and last time.
Seen = list[float]
Table = dict[bytes, "Known"]
# Called with each client that the answer is given to, and when.
Grant = Callable[[Address, float], None]


class Known:
    """One question's answer: ``response`` is all of it but the id.

    ``cells`` count the answer, and where it came from. ``event`` is the record without
    client and time, None when there is nothing to record. ``grant`` is told of each client
    at least once between two drains.
    """

    __slots__ = ("counted", "event", "grant", "noted", "origin", "response", "until_s")

    def __init__(
        self,
        response: bytes,
        cells: tuple[Cell, Cell],
        until_s: float,
        event: AuditEvent | None,
        grant: Grant | None = None,
    ) -> None:
        self.response = response
        self.counted, self.origin = cells
        self.until_s = until_s
        self.event = event
        self.grant = grant
        # For each client since the last drain; None when nobody wants to know. In a flood
        # one dict serves all answers of a verdict.
        self.noted: dict[bytes, Seen] | None = _NOBODY if event or grant else None


# Shared, and never written to: most answers are given to nobody between two drains.
_NOBODY: dict[bytes, Seen] = {}


class _Coarse:
    """All of a verdict that there was no room to note: for whichever client, the same count."""

    __slots__ = ("event", "noted", "seen")

    def __init__(self, event: AuditEvent, now_s: float) -> None:
        self.event = event
        self.seen: Seen = [0, now_s, now_s]
        self.noted: dict[bytes, Seen] = {}


class QuickPath:
    """One for all UDP sockets. Whoever takes a batch holds ``lock`` meanwhile."""

    def __init__(self, policy: PolicyHolder, coarsened: Cell) -> None:
        self._coarsened = coarsened
        self.lock = threading.Lock()
        self._holder = policy
        self._policy = policy.current
        self._now_s = 0.0
        self._minute = 0
        # Tables by shape, for each client and for each class of clients: the same ones.
        self._clients: dict[bytes, dict[bytes, Table]] = {}
        self._classes: dict[int, dict[bytes, Table]] = {}
        self._size = 0
        self._noted: list[Known] = []
        self._overflowed: list[Known] = []
        self._recorded_clients = 0
        self._granted_clients = 0
        # What there was no room to note, by rule, action and policy.
        self._coarse: dict[tuple[str, str, str], _Coarse] = {}

    def __len__(self) -> int:
        return self._size

    def begin(self, now_s: float) -> None:
        """Before each batch: what was learnt under another policy, or in other hours, goes."""
        policy = self._holder.current
        # By a clock that was set back an answer would be good for too long.
        if policy is not self._policy or now_s < self._now_s:
            self._policy = policy
            self._forget()
        self._now_s = now_s
        if policy.depends_on_time and now_s // _WINDOW_S != self._minute:
            self._minute = int(now_s // _WINDOW_S)
            self._forget()

    def answer(self, packet: bytes, client: bytes) -> bytes | None:
        """The answer, or None when it is not known. Does not raise, whatever the bytes.

        ``client`` is the packed address. What is found in a table is a whole name, so that
        a zero byte inside a label is never taken for the end of one.
        """
        shapes = self._clients.get(client)
        if shapes is None:
            return None
        end = packet.find(0, 12) + 1
        table = shapes.get(packet[2:12] + packet[end:])
        if table is None:
            return None
        name = packet[12:end]
        known = table.get(name)
        in_other_letters = known is None
        if known is None:
            known = table.get(fold_wire(name))
        if known is None or known.until_s <= self._now_s:
            return None
        if known.noted is not None:
            noted = known.noted.get(client)
            if noted is not None:
                noted[0] += 1
                noted[2] = self._now_s
            else:
                self._note_first(known, client)
        known.counted.value += 1
        known.origin.value += 1
        if in_other_letters:
            # As a resolver chose them at random (0x20), or a person wrote them.
            response = known.response
            return b"".join((packet[:2], response[:10], name, response[len(name) + 10 :]))
        return packet[:2] + known.response

    def learn(self, packet: bytes, client: Address, known: Known, asked_s: float) -> None:
        """Give this answer to this question, which came at ``asked_s``, from now on.

        Left out is what can be no question of the quick kind, or came in other hours. The
        caller has parsed the packet, so that its first zero byte behind the header ends the
        name, or it is rare.
        """
        policy = self._holder.current
        if policy.depends_on_time and asked_s // _WINDOW_S != self._minute:
            return
        end = packet.find(0, HEADER.size) + 1
        tail = packet[end:]
        if (
            policy is not self._policy
            or len(tail) not in _PLAIN_TAIL_BYTES
            or len(known.response) + 2 > MAX_UDP_BYTES
        ):
            return
        packed = client.packed
        if self._size >= MAX_KNOWN or len(self._clients) >= MAX_CLIENTS:
            self._forget()
        shapes = self._clients.get(packed)
        if shapes is None:
            shapes = self._classes.setdefault(policy.client_class(client), {})
            self._clients[packed] = shapes
        shape = packet[2 : HEADER.size] + tail
        if shape not in shapes and len(shapes) >= MAX_SHAPES:
            fewest = min(shapes, key=lambda each: len(shapes[each]))
            self._size -= len(shapes.pop(fewest))
        table = shapes.setdefault(shape, {})
        name = fold_wire(packet[HEADER.size : end])
        # Whoever writes it in small letters is answered in small letters.
        known.response = b"".join((known.response[:10], name, known.response[end - 2 :]))
        self._size += name not in table
        table[name] = known

    def drain(self) -> list[AuditEvent]:
        """What was answered since the last time, as events. Any thread may ask."""
        with self.lock:
            drained, self._noted = self._noted, []
            overflowed, self._overflowed = self._overflowed, []
            coarse, self._coarse = self._coarse, {}
            self._recorded_clients = self._granted_clients = 0
            taken = [(known.event, known.noted) for known in drained]
            for known in drained:
                known.noted = _NOBODY
            for known in overflowed:
                known.noted = _NOBODY
        events = [
            _happened(event._replace(client=str(unpack_address(client))), seen)
            for event, noted in taken
            if event and noted
            for client, seen in noted.items()
        ]
        for each in coarse.values():
            self._coarsened.value += int(each.seen[0])
            left_out = each.event._replace(
                client=LEFT_OUT, name=LEFT_OUT, address=LEFT_OUT, reason=LEFT_OUT
            )
            events.append(_happened(left_out, each.seen))
        return events

    def _note_first(self, known: Known, client: bytes) -> None:
        """A client that the answer was not given to since the last drain."""
        assert known.noted is not None  # noqa: S101 the callers looked
        if known.grant:
            known.grant(unpack_address(client), self._now_s)
        event = known.event
        if event is None:
            if self._granted_clients >= MAX_GRANTED:
                return
            self._granted_clients += 1
        elif self._recorded_clients >= MAX_RECORDED:
            self._note_coarsely(known, event, client)
            return
        else:
            self._recorded_clients += 1
        if known.noted is _NOBODY:
            known.noted = {}
            self._noted.append(known)
        known.noted[client] = [1, self._now_s, self._now_s]

    def _note_coarsely(self, known: Known, event: AuditEvent, client: bytes) -> None:
        """Count it for its verdict; the next time this is found where others find theirs."""
        verdict = event.rule, event.action, event.policy
        coarse = self._coarse.get(verdict)
        if coarse is None:
            coarse = self._coarse[verdict] = _Coarse(event, self._now_s)
        coarse.seen[0] += 1
        coarse.seen[2] = self._now_s
        if known.noted is _NOBODY:
            known.noted = coarse.noted
            self._overflowed.append(known)
        if len(coarse.noted) < MAX_RECORDED:
            coarse.noted[client] = coarse.seen

    def _forget(self) -> None:
        """All of it: rare, and the next question is answered by the responder."""
        self._clients.clear()
        self._classes.clear()
        self._size = 0


def _happened(event: AuditEvent, seen: Seen) -> AuditEvent:
    occurrences, first_s, last_s = seen
    return event._replace(time_s=first_s, last_time_s=last_s, occurrences=int(occurrences))
