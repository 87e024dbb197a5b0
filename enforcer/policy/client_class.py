"""Which of the ranges that a policy mentions hold a client, as one number.

Two clients of one class get the same verdict on everything, so that verdicts can be kept
by class instead of by client.
"""

from collections import defaultdict
from collections.abc import Iterable

from enforcer.policy.model import Address, Network


class ClientClasses:
    """The ranges, by their length: a client is looked up once for each length."""

    def __init__(self, networks: Iterable[Network]) -> None:
        bits: defaultdict[tuple[int, int], dict[int, int]] = defaultdict(dict)
        for place, network in enumerate(dict.fromkeys(networks)):
            shift = network.max_prefixlen - network.prefixlen
            bits[network.version, shift][int(network.network_address) >> shift] = 1 << place
        self._by_version = {
            version: tuple((shift, found) for (of, shift), found in bits.items() if of == version)
            for version in (4, 6)
        }

    def __len__(self) -> int:
        return sum(len(found) for rows in self._by_version.values() for _, found in rows)

    def of(self, client: Address | None) -> int:
        """A bit for each range that holds the client; 0 for none, and for nobody."""
        if client is None:
            return 0
        number, bits = int(client), 0
        for shift, found in self._by_version[client.version]:
            bits |= found.get(number >> shift, 0)
        return bits
