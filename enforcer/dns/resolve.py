"""A name's addresses for the gate: the same upstreams, and the same judgement of answers.

The gate has judged the name itself; what it leads to, and who serves it, is judged here.
Rules that only say what a lookup is answered with do not concern a connection. Nothing is
counted or recorded: that is done where the connection ends.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from enforcer.dns.delegation import UNKNOWN, Delegations, NsFacts
from enforcer.dns.filters import judge_answer
from enforcer.dns.packets.answer import Answer, parse_answer
from enforcer.dns.packets.wire import AAAA, IN, RD, A, Query
from enforcer.dns.special_use import answer_unless_routed
from enforcer.dns.upstream.forwarder import Forwarder
from enforcer.dns.zone_search import MAX_ROUNDS, ZoneSearch, is_wanted
from enforcer.policy.addresses import unpack_address
from enforcer.policy.decide import decide
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import (
    REWRITES,
    Action,
    Address,
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
        # An empty one is false.
        self._delegations = Delegations() if delegations is None else delegations
        self._is_routed = is_routed

    async def resolve(self, name: str, client: Address) -> Resolved:
        """``name`` is a folded host name. No address at all is an empty result."""
        answers = await asyncio.gather(*(self._ask(name, qtype) for qtype in (A, AAAA)))
        policy = self._policy.current
        request = Request(Plane.DNS, name, client=client, time_s=self._clock(), over_tcp=True)
        facts: Mapping[bytes, NsFacts] = {}
        if is_wanted(policy):
            wire = to_wire(name)
            names = (wire, *(alias for answer in answers for alias in answer.aliases))
            found = await self._find_zones(
                ZoneSearch(policy, self._delegations, self._is_routed, names)
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

    async def _find_zones(self, search: ZoneSearch) -> Mapping[bytes, NsFacts] | None:
        """As for clients' own lookups: asked round by round until nothing is missing."""
        for _ in range(MAX_ROUNDS):
            queries = search.missing(self._clock())
            if not queries:
                break
            replies = await asyncio.gather(*map(self._forwarder.ask, queries))
            for query, reply in zip(queries, replies, strict=True):
                self._delegations.learn(query, reply, self._clock())
        return search.facts(self._clock())

    async def _ask(self, name: str, qtype: int) -> Answer:
        wire = to_wire(name)
        local = answer_unless_routed(wire, qtype, self._is_routed)
        if local:
            here = [unpack_address(each.rdata) for each in local.records if each.rtype == qtype]
            return Answer((), tuple(here), None)
        question = wire + qtype.to_bytes(2, "big") + IN.to_bytes(2, "big")
        query = Query(0, RD, wire, qtype, question, None)
        reply = await self._forwarder.ask(query)
        answer = parse_answer(reply) if reply else None
        return answer or Answer((), (), None)
