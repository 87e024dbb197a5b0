"""What an upstream's answer may say: every name it leads to and every address is judged.

Pure: the policy and the parsed answer come in, a verdict comes out. The responder asks
for clients, and ``resolve`` for the gate.
"""

from enforcer.dns.answer import Answer
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.decide import decide
from enforcer.policy.model import Action, Request, Verdict
from enforcer.policy.names import from_wire


def judge_answer(policy: CompiledPolicy, request: Request, answer: Answer) -> Verdict | None:
    """The verdict on what an answer leads to: the first block, else the first monitor, else None.

    ``request`` is the one that the question was judged by. A chain through a blocked
    name is blocked, whatever the name that was asked for (RPZ judges each one, too).
    """
    monitored = None
    for verdict in _verdicts(policy, request, answer):
        if verdict.blocks:
            return verdict
        if verdict.action is Action.MONITOR and monitored is None:
            monitored = verdict
    return monitored


def _verdicts(policy: CompiledPolicy, request: Request, answer: Answer) -> list[Verdict]:
    verdicts = []
    for alias in answer.aliases:
        name = from_wire(alias)
        verdict = decide(policy, request._replace(name=name))
        reason = f"{verdict.reason} (it is an alias of {name})"
        verdicts.append(verdict._replace(reason=reason))
    for address in answer.addresses:
        verdict = decide(policy, request._replace(address=address))
        verdicts.append(verdict)
    return verdicts
