"""Ranges by address: which of many hold this one, looked up once for each length of range."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Generic, TypeVar

from enforcer.policy.model import Address, Network

Value = TypeVar("Value")


class PrefixTable(Generic[Value]):
    """What is kept for each range, found by an address; made once."""

    __slots__ = ("_by_version",)

    def __init__(self, entries: Iterable[tuple[Network, Value]]) -> None:
        rows: defaultdict[tuple[int, int], dict[int, list[Value]]] = defaultdict(dict)
        for network, value in entries:
            shift = network.max_prefixlen - network.prefixlen
            row = rows[network.version, shift]
            row.setdefault(int(network.network_address) >> shift, []).append(value)
        self._by_version = {
            version: tuple((shift, rows[of, shift]) for of, shift in sorted(rows) if of == version)
            for version in (4, 6)
        }

    def __len__(self) -> int:
        return sum(
            len(values)
            for rows in self._by_version.values()
            for _, row in rows
            for values in row.values()
        )

    def holding(self, address: Address) -> list[Value]:
        """What is kept for every range that holds the address, the longest prefix first."""
        rows = self._by_version[address.version]
        number = int(address) if rows else 0
        found: list[Value] = []
        for shift, row in rows:
            if values := row.get(number >> shift):
                found += values
        return found
