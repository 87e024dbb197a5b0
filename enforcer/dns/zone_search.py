"""Who serves the names of one chain: what is to be asked for that, and what is known.

Pure. For clients' lookups and for the gate's own, so that neither finds what the other
would not, or asks upstreams for names that never leave.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from enforcer.dns.delegation import Delegations, NsFacts
from enforcer.dns.packets.records import NS
from enforcer.dns.packets.wire import Query
from enforcer.dns.special_use import answer_unless_routed
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.model import Delegation, OnFailure

# Names of one chain whose zones are looked for, and rounds of questions for them: each name
# takes two or three, and a chain is known at once.
MAX_CHAIN: Final = 16
MAX_ROUNDS: Final = 12
MAX_SIDE_BY_SIDE: Final = 32


def is_wanted(policy: CompiledPolicy) -> bool:
    """Whether any rule is about name servers, and they are asked for at all."""
    return policy.has_ns_triggers and policy.policy.delegation is not Delegation.OFF


class ZoneSearch:
    """``names`` are folded wire names, the one that was asked for first."""

    __slots__ = ("_delegations", "_is_routed", "_names", "_policy")

    def __init__(
        self,
        policy: CompiledPolicy,
        delegations: Delegations,
        is_routed: Callable[[bytes], bool],
        names: Iterable[bytes],
    ) -> None:
        self._policy = policy
        self._delegations = delegations
        self._is_routed = is_routed
        self._names = tuple(
            name
            for name in tuple(dict.fromkeys(names))[:MAX_CHAIN]
            if answer_unless_routed(name, NS, is_routed) is None
        )

    def missing(self, now_s: float) -> tuple[Query, ...]:
        """What can be asked at this point, side by side. Empty when nothing is missing."""
        find, want_ips = self._delegations.missing, self._policy.has_nsip_triggers
        found = (query for name in self._names for query in find(name, now_s, want_ips=want_ips))
        return tuple(dict.fromkeys(found))[:MAX_SIDE_BY_SIDE]

    def facts(self, now_s: float) -> Mapping[bytes, NsFacts] | None:
        """What is known of each name; of one that never leaves, nothing.

        None when nobody answered that, and the policy wants to be sure: whoever serves a
        zone could hide by not saying so.
        """
        zones, rules, want_ips = (
            self._delegations,
            self._policy.policy,
            self._policy.has_nsip_triggers,
        )
        wants = (rules.delegation, rules.dns_on_failure)
        if wants == (Delegation.STRICT, OnFailure.CLOSED) and any(
            zones.has_failed(name, now_s) and not self._is_routed(name) for name in self._names
        ):
            return None
        return {name: zones.known(name, now_s, want_ips=want_ips) for name in self._names}
