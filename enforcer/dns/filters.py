"""What an upstream's answer may say: every name it leads to and every address is judged.

Pure: the policy and the parsed answer come in, a verdict comes out, or what must be
stripped. The responder asks for clients, and ``resolve`` for the gate. All of it is
asked anew for each query, so that a reload takes effect on what is cached, too.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from enforcer.dns.delegation import UNKNOWN, NsFacts
from enforcer.dns.packets.answer import Answer
from enforcer.dns.packets.svcb import Strip
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.decide import decide, decide_among
from enforcer.policy.model import Action, Address, Mode, Request, StripEch, Verdict
from enforcer.policy.names import from_wire

# Names times addresses of one answer. No resolver follows as many aliases as it takes to
# have more with a usual number of addresses; each is judged by itself then.
MAX_PAIRS: Final = 512
_NO_FACTS: Final[Mapping[bytes, NsFacts]] = MappingProxyType({})


def judge_answer(
    policy: CompiledPolicy,
    request: Request,
    answer: Answer,
    ns_facts: Mapping[bytes, NsFacts] = _NO_FACTS,
) -> Verdict | None:
    """The verdict on what an answer leads to: the first block, else the first monitor, else None.

    ``request`` is the one that the question was judged by; for a passthru verdict on it
    this is not to be asked. A passthru by an address spares the answer's other addresses,
    not its aliases. A chain through a blocked name is blocked, whatever the name
    that was asked for (RPZ judges each one, too). ``ns_facts`` are those of the aliases,
    as far as they are known. A hint never blocks: see find_strip.
    """
    monitored = None
    for verdict in _verdicts(policy, request, answer, ns_facts):
        if verdict.action is Action.BLOCK:
            return verdict
        if verdict.action is Action.MONITOR:
            monitored = monitored or verdict
    return monitored


def _verdicts(
    policy: CompiledPolicy, request: Request, answer: Answer, ns_facts: Mapping[bytes, NsFacts]
) -> Iterator[Verdict]:
    addresses = answer.addresses if policy.has_address_triggers else ()
    # A rule that waits for an address lets through, so each name is judged with each.
    together = len(answer.aliases) * len(addresses) <= MAX_PAIRS and addresses
    for alias in answer.aliases:
        name = from_wire(alias)
        nsdnames, nsips = ns_facts.get(alias, UNKNOWN)
        asked = request._replace(name=name, nsdnames=nsdnames, nsips=nsips)
        own = decide(policy, asked)
        for verdict in judge_addresses(policy, asked, together) if together else (own,):
            if verdict.action is not Action.ALLOW:
                yield verdict._replace(reason=f"{verdict.reason} (it is an alias of {name})")
        # The targets of services stand beside each other, none leads to the next.
        if own.passthru and not answer.services:
            return
    yield from judge_addresses(policy, request, addresses)
    for service in answer.services if policy.has_address_triggers else ():
        for judged in _each(request, service.hints):
            verdict = decide(policy, judged)
            if not verdict.blocks:
                yield verdict


def judge_addresses(
    policy: CompiledPolicy, request: Request, addresses: tuple[Address, ...]
) -> list[Verdict]:
    """A verdict for each address, or one for all where a passthru has a say."""
    verdicts = [decide(policy, judged) for judged in _each(request, addresses)]
    # Of a Connect URL each address must be one of its own.
    if request.name not in policy.connect_urls and any(each.passthru for each in verdicts):
        return [decide_among(policy, tuple(_each(request, addresses)))]
    return verdicts


def _each(request: Request, addresses: tuple[Address, ...]) -> Iterator[Request]:
    return (request._replace(address=address) for address in addresses)


def find_strip(policy: CompiledPolicy, request: Request, answer: Answer) -> Strip | None:
    """What must go from the answer's HTTPS and SVCB records, None when nothing must.

    That is ``ech`` where the TLS plane has to see a name that the policy is about, and
    hints that are blocked as addresses. A policy that only monitors changes no answer.
    Not to be asked for a passthru verdict on the question.
    """
    if not answer.services or policy.policy.mode is Mode.MONITOR:
        return None
    host = request._replace(name=_service_host(request.name))
    hints = frozenset(
        hint
        for service in answer.services
        for hint in service.hints
        if policy.has_address_triggers and decide(policy, host._replace(address=hint)).blocks
    )
    ech = any(service.ech for service in answer.services) and _hides(policy, request, answer)
    return Strip(ech, hints) if ech or hints else None


def _hides(policy: CompiledPolicy, request: Request, answer: Answer) -> bool:
    match policy.policy.strip_ech:
        case StripEch.ALL:
            return True
        case StripEch.NEVER:
            return False
        case StripEch.GUARDED:
            names = (request.name, *map(from_wire, answer.aliases))
            return any(map(policy.is_guarded, (*names, *map(_service_host, names))))


def _service_host(name: str) -> str:
    """Whose service it is: those of other ports stand at ``_8443._https.host`` (RFC 9460 9.1)."""
    while name.startswith("_"):
        name = name.partition(".")[2]
    return name
