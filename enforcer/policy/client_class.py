"""Which of the ranges that a policy mentions hold a client, as one number.

Two clients of one class get the same verdict on everything, so that verdicts can be kept
by class instead of by client.
"""

from collections.abc import Iterable

from enforcer.policy.model import Address, Network
from enforcer.policy.prefix_table import PrefixTable


class ClientClasses:
    """The ranges of a policy, each with a bit of its own."""

    __slots__ = ("_bits", "_count")

    def __init__(self, networks: Iterable[Network]) -> None:
        distinct = dict.fromkeys(networks)
        self._count = len(distinct)
        self._bits = PrefixTable((network, 1 << bit) for bit, network in enumerate(distinct))

    def __len__(self) -> int:
        return self._count

    def of(self, client: Address | None) -> int:
        """A bit for each range that holds the client; 0 for none, and for nobody."""
        # No bit stands twice, so that the sum is the set.
        if client is None or not self._count:
            return 0
        return sum(self._bits.holding(client))
