"""Which upstreams a name is for: those of the longest suffix that fits, else the rest. Pure."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from enforcer.policy.names import to_wire

Target = TypeVar("Target")


class Routes(Generic[Target]):
    """A table of suffixes. Names are folded wire form."""

    def __init__(
        self, default: Target, by_suffix: Iterable[tuple[Iterable[str], Target]] = ()
    ) -> None:
        self._default = default
        self._targets = {
            to_wire(suffix): target for suffixes, target in by_suffix for suffix in suffixes
        }
        self._sizes = frozenset(map(len, self._targets))

    def find(self, name: bytes) -> Target:
        if not self._targets:
            return self._default
        suffix = self._longest(name)
        return self._default if suffix is None else self._targets[suffix]

    def has_own(self, name: bytes) -> bool:
        """Whether the settings say more of this name than of any other."""
        return self._longest(name) is not None

    def _longest(self, name: bytes) -> bytes | None:
        at, size = 0, len(name)
        while name[at]:
            if size - at in self._sizes and name[at:] in self._targets:
                return name[at:]
            at += 1 + name[at]
        return None
