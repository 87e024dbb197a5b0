"""A name's addresses for the gate: the same upstreams, and the same judgement of answers.

The gate has judged the name itself; what it leads to is judged here. Nothing is
counted or recorded: that is done where the connection ends.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from enforcer.dns.filters import judge_answer
from enforcer.dns.packets.answer import Answer, parse_answer
from enforcer.dns.packets.wire import AAAA, IN, RD, A, Query
from enforcer.dns.upstream.forwarder import Forwarder
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import Address, Plane, Request, Verdict
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
        self, policy: PolicyHolder, forwarder: Forwarder, clock: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._forwarder = forwarder
        self._clock = clock

    async def resolve(self, name: str, client: Address) -> Resolved:
        """``name`` is a folded host name. No address at all is an empty result."""
        answers = await asyncio.gather(*(self._ask(name, qtype) for qtype in (A, AAAA)))
        request = Request(Plane.DNS, name, client=client, time_s=self._clock())
        addresses: list[Address] = []
        monitored = None
        for answer in answers:
            verdict = judge_answer(self._policy.current, request, answer)
            if verdict is not None and verdict.blocks:
                return Resolved(verdict=verdict)
            monitored = monitored or verdict
            addresses += answer.addresses
        return Resolved(tuple(addresses), monitored)

    async def _ask(self, name: str, qtype: int) -> Answer:
        wire = to_wire(name)
        question = wire + qtype.to_bytes(2, "big") + IN.to_bytes(2, "big")
        query = Query(0, RD, wire, qtype, question, None)
        reply = await self._forwarder.ask(query)
        answer = parse_answer(reply) if reply else None
        return answer or Answer((), (), None)
