"""How often one client may ask: a bucket for each, and bounded memory for all. Pure.

The bucket is kept as one number, the time at which it will be full again (the generic
cell rate algorithm, ITU-T I.371). A bucket that is full again is as good as none, so two
generations of a dict, turned over when the older one can hold only full ones, forget
nothing that matters.
"""

from typing import Final

from enforcer.policy.model import Address

# A page makes some fifty lookups at once, and has to be let.
BURST_S: Final = 2.0
# Of each generation. With more clients than this at once the oldest are forgotten early.
MAX_CLIENTS: Final = 20_000
# RFC 6177: a site has at least a /64, and a host in it picks its address as it likes.
_V6_KEY_BYTES: Final = 8
_ROUNDING_S: Final = 1e-6


def client_key(client: Address) -> bytes:
    """What shares a bucket: a v4 address, or a v6 /64."""
    return packed_key(client.packed)


def packed_key(client: bytes) -> bytes:
    """The same of an address as the kernel writes it, of four or sixteen bytes."""
    return client[:_V6_KEY_BYTES]


class RateLimit:
    """``per_second`` queries for each key in the long run, and ``BURST_S`` of them at once."""

    def __init__(self, per_second: float, *, max_clients: int = MAX_CLIENTS) -> None:
        self._cost_s = 1 / per_second
        # At least one query fits, however slow the rate.
        self._room_s = max(BURST_S, self._cost_s)
        self._max_clients = max_clients
        self._full_at_s: dict[bytes, float] = {}
        self._before: dict[bytes, float] = {}
        self._turned_s = 0.0

    def __len__(self) -> int:
        return len(self._full_at_s) + len(self._before)

    def take(self, client_key: bytes, now_s: float) -> bool:
        """Whether this client may ask once more; then it is counted."""
        current = self._full_at_s
        full_at_s = current.get(client_key)
        if full_at_s is None:
            if len(current) >= self._max_clients or not (
                0 <= now_s - self._turned_s < self._room_s
            ):
                self._before = current
                current = self._full_at_s = {}
                self._turned_s = now_s
            full_at_s = self._before.get(client_key, 0.0)
        # A clock that was set back must not lock anybody out: no bucket is emptier than empty.
        full_at_s = min(max(full_at_s, now_s), now_s + self._room_s)
        allowed = full_at_s + self._cost_s <= now_s + self._room_s + _ROUNDING_S
        current[client_key] = full_at_s + self._cost_s if allowed else full_at_s
        return allowed
