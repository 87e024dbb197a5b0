"""``decide(policy, request) -> Verdict``: the one place where anything is decided.

Precedence, from the first step to the last:

1. A request for a Connect URL (its host or a region host, on its port) sets the
   rules of included packs and of zones aside: the Connect URL wins over them.
2. Of the rules that match, the Connect URL counted as one, the most specific wins.
   Compared in this order, the first difference decides:

   ==  =====================  =====================================================
   1   client                 longest prefix
   2   name                   more literal labels; of equal ones exact over pattern
                              over suffix
   3   answer address         longest prefix
   4   name server's name     more labels
   5   name server's address  longest prefix
   6   query type             one over none
   7   time window            one over none
   8   port                   narrowest range
   9   protocol               one over none
   10  plane                  one over none
   11  where it stands        written; then lists, the policy's own before packs', the
                              earlier first; then zones
   ==  =====================  =====================================================

   1 to 5 are RPZ's triggers in RPZ's order. Of zones, too, RPZ's order holds: only the
   first in which a rule matches has a say, by its most specific rule.
3. Of two that are equal in all that, the policy's own beats a pack's. Two of one
   origin that could be equal are a tie, which is refused at load (see ties). Where load
   cannot tell, since a zone may be served by two name servers that two rules name, a
   block counts.
4. When none matches, the policy's ``default`` decides, by name.

A fact that is not known yet counts as fitting a rule that lets through, and as not
fitting a block. Two rules may be equal only while it is unknown, and both let through:
then the Connect URL is named, else the first id, so that the order of written rules never
matters. A monitor that waits for a fact lets through without a record, and a passthru
that waits for one is an allow: it spares nothing until it fits. Query types and
name servers are known to lookups only, and on other planes fit no rule.

A rule that rewrites a lookup (``tcp_only``, ``cname``, local data) is for the DNS plane
alone; ``tcp_only`` lets through what is asked over TCP.

Whichever rule wins, a Connect URL that is let through speaks TLS and nothing else, on
one of its dedicated addresses if it has any, and must prove who issued its certificate.
At the end, ``mode: monitor`` turns every block into a monitor that says what it would
have done.
"""

from collections.abc import Sequence

from enforcer.policy.compile import CompiledPolicy, allows_address
from enforcer.policy.index import Candidate
from enforcer.policy.model import (
    Action,
    CertificateCheck,
    ConnectUrl,
    Match,
    Mode,
    OnFailure,
    Plane,
    Protocol,
    Refusal,
    Request,
    Rule,
    Verdict,
)
from enforcer.policy.specificity import Specificity, exact_fit, specificity

_ALLOW = Action.ALLOW
_SPOKEN = {
    Protocol.HTTP: "plain HTTP",
    Protocol.SSH: "SSH",
    Protocol.UNKNOWN: "something else",
}


def decide(policy: CompiledPolicy, request: Request) -> Verdict:
    """The verdict on a request. Total and pure: never raises, never waits, same in same out."""
    name = request.name
    settled = policy.settled.get(name)
    if settled is not None and not policy.clients.of(request.client):
        return settled
    if name in policy.connect_urls:
        url_rule = policy.connect_url_rule(request)
        if url_rule is not None:
            return _decide_on_url(policy, request, url_rule)
    rule = _closest(policy, policy.candidates(request), request, None)
    return _say(policy, rule, request)


def decide_among(policy: CompiledPolicy, requests: Sequence[Request]) -> Verdict:
    """The verdict on an answer as a whole, by the most specific rule for any of its addresses.

    ``requests`` are one for each address, of a name that is no Connect URL's. That is RPZ's
    way: a passthru for one address is for the answer that has it, unless a closer rule, or
    an earlier zone's, blocks another.
    """
    candidates = [
        candidate._replace(key=key)
        for request in requests
        for candidate in policy.candidates(request)
        if (key := specificity(candidate.rule, candidate.fit, request, candidate.rank))
    ]
    rule = _closest(policy, candidates, requests[0], None)
    return _say(policy, rule, requests[0])


def _say(policy: CompiledPolicy, rule: Rule, request: Request) -> Verdict:
    verdict = policy.verdicts[rule.id]
    if rule.action is not _ALLOW:
        if _holds_back(rule, request):
            return verdict._replace(action=Action.ALLOW, reason=rule.reason)
    elif rule.passthru and _awaits(rule.match, request):
        return verdict._replace(passthru=False)
    return verdict


def _decide_on_url(policy: CompiledPolicy, request: Request, url_rule: Rule) -> Verdict:
    url = url_rule.connect_url
    rule = _closest(policy, policy.candidates(request), request, url_rule)
    action, reason, verify = rule.action, rule.reason, None
    if _holds_back(rule, request):
        action = Action.ALLOW
    if url is not None and action is not Action.BLOCK:
        conditions = _connect_url_conditions(policy, url, request)
        if conditions is not None:
            rule = url_rule
            action, reason = conditions
        elif request.certificate is not None:
            reason = request.certificate.reason
        elif request.plane is not Plane.DNS:
            verify = url
    if action is Action.BLOCK and policy.policy.mode is Mode.MONITOR:
        action, reason = Action.MONITOR, f"would block: {reason}"
    return _say(policy, rule, request)._replace(
        action=action, reason=reason, connect_url=url, verify=verify
    )


def _closest(
    policy: CompiledPolicy, candidates: list[Candidate], request: Request, url_rule: Rule | None
) -> Rule:
    """The most specific rule of the candidates and the Connect URL."""
    winner, best = policy.policy.default, None
    if not candidates and url_rule is None:
        return winner
    if url_rule is not None:
        winner, best = url_rule, specificity(url_rule, exact_fit(request.name), request)
    zoned: list[tuple[Specificity, Rule]] = []
    for rule, fit, rank, plain_key, _ in candidates:
        if url_rule is not None and rule.from_pack:
            continue
        key = plain_key or specificity(rule, fit, request, rank)
        if key is None:
            continue
        if rule.zone:
            zoned.append((key, rule))
        elif (
            best is None
            or key > best
            or (key == best and winner is not url_rule and _order(rule) < _order(winner))
        ):
            winner, best = rule, key
    if zoned:
        # Of zones the first that matches speaks, whatever a later one has.
        first = min(rule.zone for _, rule in zoned)
        key = max(key for key, rule in zoned if rule.zone == first)
        if best is None or key > best:
            equals = [rule for other, rule in zoned if rule.zone == first and other == key]
            winner = min(equals, key=_order)
    return winner


def _order(rule: Rule) -> tuple[bool, str]:
    """Which of two equals counts: a block first."""
    return rule.action is not Action.BLOCK, rule.id


def _holds_back(rule: Rule, request: Request) -> bool:
    """Whether a rule that blocks or records lets this one through all the same.

    A monitor waits until it knows that the request is the one that it is about; what is
    to be asked over TCP, and was, is answered.
    """
    if rule.action is Action.MONITOR:
        return _awaits(rule.match, request)
    return rule.refusal is Refusal.TCP_ONLY and request.over_tcp


def _awaits(match: Match, request: Request) -> bool:
    """Whether a fact that the rule is about is not known yet."""
    return (
        bool(match.addresses and request.address is None)
        or bool(match.ports and request.port is None)
        or bool(match.protocols and request.protocol is None)
        or bool(match.nsdnames and request.nsdnames is None)
        or bool(match.nsips and request.nsips is None)
        or bool(match.qtypes and request.qtype is None)
    )


def _connect_url_conditions(
    policy: CompiledPolicy, url: ConnectUrl, request: Request
) -> tuple[Action, str] | None:
    """What the facts known so far hold against a Connect URL that no rule blocks."""
    if not allows_address(url, request.address):
        return Action.BLOCK, f"{request.address} is not a dedicated address of {url}"
    spoken = Protocol.HTTP if request.plane is Plane.HTTP else request.protocol
    if spoken is not None and spoken is not Protocol.TLS:
        return Action.BLOCK, f"{url} is reached over TLS only, and this is {_SPOKEN[spoken]}"
    if request.certificate is None or request.certificate.check is CertificateCheck.ACCEPTED:
        return None
    check, reason = request.certificate
    if check is CertificateCheck.UNAVAILABLE and policy.policy.tls_on_failure is OnFailure.OPEN:
        return Action.MONITOR, f"let through unverified (on_failure is open): {reason}"
    return Action.BLOCK, reason
