"""What the policy says of an answer, and what has to be known for it. Sans-I/O.

The name was judged before; here it is what the name leads to, and who serves it and them.
"""

from collections.abc import Callable, Mapping
from typing import Final

from enforcer.dns.ask import Ask, Asked, Content, Step
from enforcer.dns.delegation import UNKNOWN, Delegations, NsFacts
from enforcer.dns.filters import judge_addresses, judge_answer
from enforcer.dns.packets.answer import Answer
from enforcer.dns.zone_search import MAX_ROUNDS, ZoneSearch, is_wanted
from enforcer.policy.decide import decide
from enforcer.policy.model import Action, Delegation, Refusal, Request, Verdict
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
        # What is said of other names' zones does not concern a Connect URL.
        if is_wanted(policy) and verdict.connect_url is None:
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
        """What is known of who serves the chain, or what must be asked first."""
        aliases = content.answer.aliases if content.answer else ()
        names = (asked.query.name, *aliases)
        search = ZoneSearch(asked.policy, self._delegations, self._is_routed, names)
        missing = search.missing(now_s)
        if missing and rounds < MAX_ROUNDS:
            ask = Ask(missing, Step.DELEGATION, rounds=rounds + 1)
            if asked.policy.policy.delegation is Delegation.STRICT:
                return ask._replace(asked=asked, content=content)
            self._later.append(ask)
        return search.facts(now_s)


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


def _judge_zone(
    asked: Asked, answer: Answer, facts: Mapping[bytes, NsFacts]
) -> tuple[Request, Verdict]:
    policy, own = asked.policy, facts.get(asked.query.name, UNKNOWN)
    request = asked.request._replace(nsdnames=own.nsdnames, nsips=own.nsips)
    verdict = decide(policy, request)
    if verdict.blocks and policy.has_address_triggers and answer.addresses:
        # An address of the answer counts more than who serves the zone (RPZ's order).
        verdicts = judge_addresses(policy, request, answer.addresses)
        # A passthru by an address spares no alias.
        spared = verdicts[0]._replace(passthru=False)
        verdict = next((v for v in verdicts if v.blocks), spared)
    return request, verdict
