"""What the policy says of an answer, and what has to be known for it. Sans-I/O.

The name was judged before; here it is what the name leads to, and who serves it and them.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from enforcer.dns.ask import Ask, Asked, Content, Step
from enforcer.dns.delegation import (
    MAX_CHAIN,
    MAX_ROUNDS,
    MAX_SIDE_BY_SIDE,
    Delegations,
    NsFacts,
)
from enforcer.dns.filters import judge_addresses, judge_answer
from enforcer.dns.packets.answer import Answer
from enforcer.policy.decide import decide
from enforcer.policy.model import Action, Delegation, OnFailure, Refusal, Request, Verdict
from enforcer.policy.names import from_wire

_BLOCK: Final = Action.BLOCK


class Judge:
    """``later`` takes questions that nobody waits for."""

    def __init__(
        self, delegations: Delegations, is_routed: Callable[[bytes], bool], later: list[Ask]
    ) -> None:
        self._delegations = delegations
        self._is_routed = is_routed
        self._later = later

    def judge(
        self, asked: Asked, content: Content, now_s: float, rounds: int
    ) -> Ask | tuple[Request, Verdict] | None:
        """The verdict on the name and on all that it leads to, or what is to be known before.

        None when that cannot be found out, and the policy wants a failure then.
        """
        answer = content.answer
        _, _, _, request, policy, verdict = asked
        if answer is None or verdict.action is _BLOCK or verdict.passthru:
            return request, verdict
        facts: Mapping[bytes, NsFacts] = {}
        if _asks_for_zones(asked):
            # What is blocked whoever serves it need not wait for who does.
            verdict = judge_answer(policy, request, answer) or verdict
            if verdict.action is _BLOCK:
                return request, verdict
            found = self._find_zones(asked, content, now_s, rounds)
            if found is None or isinstance(found, Ask):
                return found
            facts = found
            request, verdict = _judge_zone(asked, answer, facts)
        leads_on = answer.aliases or answer.services or policy.has_address_triggers
        if leads_on and not verdict.blocks and not verdict.passthru:
            verdict = judge_answer(policy, request, answer, facts) or verdict
        return request, verdict

    def _find_zones(
        self, asked: Asked, content: Content, now_s: float, rounds: int
    ) -> Ask | Mapping[bytes, NsFacts] | None:
        """The name servers of the name and of its aliases, or what must be asked for them.

        None when nobody answered that, and the policy wants to be sure: whoever serves a
        zone could hide by not saying so.
        """
        policy, zones, is_routed = asked.policy, self._delegations, self._is_routed
        aliases = content.answer.aliases if content.answer else ()
        names = tuple(dict.fromkeys((asked.query.name, *aliases)))[:MAX_CHAIN]
        find = partial(zones.missing, now_s=now_s, want_ips=policy.has_nsip_triggers)
        missing = tuple(dict.fromkeys(query for name in names for query in find(name)))
        if missing and rounds < MAX_ROUNDS:
            ask = Ask(missing[:MAX_SIDE_BY_SIDE], Step.DELEGATION, rounds=rounds + 1)
            if policy.policy.delegation is Delegation.STRICT:
                return ask._replace(asked=asked, content=content)
            self._later.append(ask)
        wants = (policy.policy.delegation, policy.policy.dns_on_failure)
        if wants == (Delegation.STRICT, OnFailure.CLOSED) and any(
            zones.has_failed(name, now_s) and not is_routed(name) for name in names
        ):
            return None
        return {name: zones.known(name, now_s, want_ips=policy.has_nsip_triggers) for name in names}


def judge_target(asked: Asked, verdict: Verdict, target: bytes) -> Verdict:
    """What the policy says of an alias that it chose itself, or a feed did.

    A name that is blocked is not given out by another's alias, and one that leads on
    leads to nothing: there is one alias, so that none goes round in circles.
    """
    name = from_wire(target)
    behind = decide(asked.policy, asked.request._replace(name=name))
    if behind.action is not _BLOCK:
        return verdict
    reason = f"{behind.reason} (it is the alias that rule {verdict.rule} gives)"
    refusal = Refusal.NODATA if behind.refusal is Refusal.CNAME else behind.refusal
    return behind._replace(reason=reason, refusal=refusal)


def _asks_for_zones(asked: Asked) -> bool:
    """Not for a Connect URL: what is said of other names' zones does not concern it."""
    policy = asked.policy
    return (
        policy.has_ns_triggers
        and policy.policy.delegation is not Delegation.OFF
        and asked.verdict.connect_url is None
    )


def _judge_zone(
    asked: Asked, answer: Answer, facts: Mapping[bytes, NsFacts]
) -> tuple[Request, Verdict]:
    policy, own = asked.policy, facts[asked.query.name]
    request = asked.request._replace(nsdnames=own.nsdnames, nsips=own.nsips)
    verdict = decide(policy, request)
    if verdict.blocks and policy.has_address_triggers and answer.addresses:
        # An address of the answer counts more than who serves the zone (RPZ's order).
        verdicts = judge_addresses(policy, request, answer.addresses)
        # A passthru by an address spares no alias.
        spared = verdicts[0]._replace(passthru=False)
        verdict = next((v for v in verdicts if v.blocks), spared)
    return request, verdict
