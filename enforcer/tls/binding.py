"""Which address was given to which client for which name, so that SNI can be held to it.

The DNS plane remembers, the gate asks. Pure: time comes in. Memory is bounded, and no
client can make another be forgotten by asking for many names: each has so much of its
own, and when the whole is full, the client that asked longest ago goes.
"""

from collections import OrderedDict
from itertools import islice
from typing import Final, NamedTuple

from enforcer.policy.model import Address

# Clients and the libraries below them keep an address for longer than its TTL says.
GRACE_S: Final = 300
# About 170 bytes each.
MAX_BINDINGS: Final = 200_000
MAX_NAMES_PER_CLIENT: Final = 1024
# Forgotten at once when a client has too many, so that it is not done for each.
_MADE_ROOM: Final = MAX_NAMES_PER_CLIENT // 4
# Which client asked longest ago is known to so many seconds, so that most answers move none.
_ORDER_S: Final = 10
# Of one name, for one client: those of A and of AAAA, and where they vary what they were.
MAX_ANSWERS: Final = 16
# Of all these together, and of targets: one message has room for thousands.
MAX_ADDRESSES: Final = 64


class _Binding(NamedTuple):
    """``answers`` are what was given, the latest first."""

    answers: tuple[tuple[Address, ...], ...]
    targets: tuple[str, ...]
    until_s: float


class _Client:
    __slots__ = ("names", "seen_s")

    def __init__(self, seen_s: float) -> None:
        self.names: dict[str, _Binding] = {}
        self.seen_s = seen_s


class Bindings:
    """What was answered lately. ``now_s`` is seconds of any steady clock, names folded text."""

    def __init__(self, max_bindings: int = MAX_BINDINGS, grace_s: float = GRACE_S) -> None:
        self._max_bindings = max_bindings
        self._grace_s = grace_s
        self._clients: OrderedDict[Address, _Client] = OrderedDict()
        self._count = 0
        self._latest_client: Address | None = None
        self._latest: _Client | None = None

    def __len__(self) -> int:
        return self._count

    def remember(
        self,
        client: Address,
        name: str,
        addresses: tuple[Address, ...],
        ttl_s: float,
        now_s: float,
        targets: tuple[str, ...] = (),
    ) -> None:
        """An answer goes to a client. ``addresses`` are those of A, AAAA and hints.

        ``targets`` are the names of HTTPS and SVCB targets: a client looks their addresses
        up and then says the first name in its SNI (RFC 9460 3).
        """
        # An address is hashed in Python, and many questions in a row are one client's.
        found = self._latest if client is self._latest_client else self._clients.get(client)
        if len(addresses) > MAX_ADDRESSES or len(targets) > MAX_ADDRESSES:
            addresses, targets = addresses[:MAX_ADDRESSES], targets[:MAX_ADDRESSES]
        if found is None:
            found = self._clients[client] = _Client(now_s)
        elif now_s - found.seen_s > _ORDER_S:
            self._clients.move_to_end(client)
            found.seen_s = now_s
        self._latest_client, self._latest = client, found
        names = found.names
        until_s = now_s + ttl_s + self._grace_s
        known = names.get(name)
        if known is None:
            if len(names) == MAX_NAMES_PER_CLIENT:
                self._make_room(names)
            names[name] = _Binding((addresses,), targets, until_s)
            self._count += 1
            if self._count > self._max_bindings:
                self._forget_client()
        # An answer out of the cache, for one: what is left of its TTL ends when it did.
        elif (
            addresses not in known.answers
            or until_s - known.until_s > 1
            or (targets and targets != known.targets)
        ):
            names[name] = _renewed(known, addresses, targets, until_s, now_s)

    def holds(self, client: Address, name: str, address: Address, now_s: float) -> bool:
        """Whether the client was told lately that the name, or a target of it, is there."""
        found = self._clients.get(client)
        if found is None:
            return False
        names = found.names
        binding = _current(names, name, now_s)
        if binding is None:
            return False
        if any(address in answer for answer in binding.answers):
            return True
        led_to = (_current(names, target, now_s) for target in binding.targets)
        return any(address in answer for other in led_to if other for answer in other.answers)

    def _make_room(self, names: dict[str, _Binding]) -> None:
        for oldest in list(islice(names, _MADE_ROOM)):
            del names[oldest]
        self._count -= _MADE_ROOM

    def _forget_client(self) -> None:
        _, forgotten = self._clients.popitem(last=False)
        self._count -= len(forgotten.names)
        self._latest_client = self._latest = None


def _current(names: dict[str, _Binding], name: str, now_s: float) -> _Binding | None:
    binding = names.get(name)
    return binding if binding is not None and now_s < binding.until_s else None


def _renewed(
    known: _Binding,
    addresses: tuple[Address, ...],
    targets: tuple[str, ...],
    until_s: float,
    now_s: float,
) -> _Binding:
    """A and AAAA are two answers, and a name may have other addresses each time."""
    if now_s >= known.until_s:
        return _Binding((addresses,), targets, until_s)
    answers = known.answers
    if addresses not in answers:
        answers = _latest((addresses, *answers[: MAX_ANSWERS - 1]))
    return _Binding(answers, targets or known.targets, max(until_s, known.until_s))


def _latest(answers: tuple[tuple[Address, ...], ...]) -> tuple[tuple[Address, ...], ...]:
    """As many of them as have room, the first in any case."""
    room = MAX_ADDRESSES
    for index, answer in enumerate(answers):
        room -= len(answer)
        if room < 0:
            return answers[:index]
    return answers
