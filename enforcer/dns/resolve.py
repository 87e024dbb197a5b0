"""A name's addresses for the gate: the same upstreams, and the same judgement of answers.

The gate has judged the name itself; what it leads to, and who serves it, is judged here.
Rules that only say what a lookup is answered with do not concern a connection. Nothing is
counted or recorded: that is done where the connection ends.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from enforcer.dns.delegation import (
    MAX_CHAIN,
    MAX_ROUNDS,
    MAX_SIDE_BY_SIDE,
    UNKNOWN,
    Delegations,
    NsFacts,
)
from enforcer.dns.filters import judge_answer
from enforcer.dns.packets.answer import Answer, parse_answer
from enforcer.dns.packets.records import NS
from enforcer.dns.packets.response import LocalAnswer
from enforcer.dns.packets.wire import AAAA, IN, RD, A, Query
from enforcer.dns.special_use import answer_special
from enforcer.dns.upstream.forwarder import Forwarder
from enforcer.policy.addresses import unpack_address
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.decide import decide
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import (
    REWRITES,
    Action,
    Address,
    Delegation,
    OnFailure,
    Plane,
    Request,
    Verdict,
)
from enforcer.policy.names import to_wire


class Resolved(NamedTuple):
    """Addresses, IPv4 first, and what the policy holds against what the name leads to.

    A verdict that blocks comes without addresses.
    """

    addresses: tuple[Address, ...] = ()
    verdict: Verdict | None = None


class Resolver:
    """Asks for A and AAAA at once."""

    def __init__(
        self,
        policy: PolicyHolder,
        forwarder: Forwarder,
        clock: Callable[[], float],
        delegations: Delegations | None = None,
        is_routed: Callable[[bytes], bool] = lambda _: True,
    ) -> None:
        """``is_routed`` says of a name whether the settings have upstreams of its own for it.

        What is special (see special_use) is asked for there only.
        """
        self._policy = policy
        self._forwarder = forwarder
        self._clock = clock
        self._delegations = delegations or Delegations()
        self._is_routed = is_routed

    async def resolve(self, name: str, client: Address) -> Resolved:
        """``name`` is a folded host name. No address at all is an empty result."""
        answers = await asyncio.gather(*(self._ask(name, qtype) for qtype in (A, AAAA)))
        policy = self._policy.current
        request = Request(Plane.DNS, name, client=client, time_s=self._clock(), over_tcp=True)
        facts: dict[bytes, NsFacts] = {}
        if policy.has_ns_triggers and policy.policy.delegation is not Delegation.OFF:
            wire = to_wire(name)
            found = await self._find_zones(
                policy, (wire, *(a for each in answers for a in each.aliases))
            )
            if found is None:
                return Resolved()
            facts = found
            nsdnames, nsips = facts.get(wire, UNKNOWN)
            request = request._replace(nsdnames=nsdnames, nsips=nsips)
        addresses: list[Address] = []
        monitored = None
        for answer in answers:
            verdict = decide(policy, request)
            if not verdict.passthru:
                verdict = judge_answer(policy, request, answer, facts) or verdict
            if verdict.blocks and verdict.refusal not in REWRITES:
                return Resolved(verdict=verdict)
            if verdict.action is Action.MONITOR:
                monitored = monitored or verdict
            addresses += answer.addresses
        return Resolved(tuple(addresses), monitored)

    async def _find_zones(
        self, policy: CompiledPolicy, names: Iterable[bytes]
    ) -> dict[bytes, NsFacts] | None:
        """Who serves these folded wire names, as far as upstreams say.

        None when nobody said, and the policy wants to be sure, as for clients' own lookups.
        """
        zones, distinct = self._delegations, tuple(dict.fromkeys(names))[:MAX_CHAIN]
        distinct = tuple(name for name in distinct if not self._answer_here(name, NS))
        for _ in range(MAX_ROUNDS):
            now_s = self._clock()
            missing = {q for name in distinct for q in zones.missing(name, now_s, want_ips=True)}
            queries = tuple(missing)[:MAX_SIDE_BY_SIDE]
            if not queries:
                break
            replies = await asyncio.gather(*map(self._forwarder.ask, queries))
            for query, reply in zip(queries, replies, strict=True):
                zones.learn(query, reply, self._clock())
        now_s = self._clock()
        wants = (policy.policy.delegation, policy.policy.dns_on_failure)
        if wants == (Delegation.STRICT, OnFailure.CLOSED) and any(
            zones.has_failed(name, now_s) and not self._is_routed(name) for name in distinct
        ):
            return None
        return {name: zones.known(name, now_s, want_ips=True) for name in distinct}

    def _answer_here(self, wire: bytes, qtype: int) -> LocalAnswer | None:
        """What is known of a special-use name, which upstreams never hear of."""
        local = answer_special(wire, qtype)
        return None if local is None or self._is_routed(wire) else local

    async def _ask(self, name: str, qtype: int) -> Answer:
        wire = to_wire(name)
        local = self._answer_here(wire, qtype)
        if local:
            here = [unpack_address(each.rdata) for each in local.records if each.rtype == qtype]
            return Answer((), tuple(here), None)
        question = wire + qtype.to_bytes(2, "big") + IN.to_bytes(2, "big")
        query = Query(0, RD, wire, qtype, question, None)
        reply = await self._forwarder.ask(query)
        answer = parse_answer(reply) if reply else None
        return answer or Answer((), (), None)
