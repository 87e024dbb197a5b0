"""``decide(policy, request) -> Verdict``: the one place where anything is decided.

Precedence, from the first step to the last:

1. A request for a Connect URL (its host or a region host, on its port) sets the
   rules of included packs aside: the Connect URL wins over packs.
2. Of the rules that match, the Connect URL counted as one, the most specific wins.
   Compared in this order, which is RPZ's (client, name, address), the first
   difference decides: longest client prefix; the name with more literal labels,
   and of equal ones exact over pattern over suffix; longest address prefix;
   narrowest port range; a protocol over none.
3. Of two that are equal in all that, the policy's own beats a pack's. Two of one
   origin that could be equal are a tie, which is refused at load (see compile).
4. When none matches, the policy's ``default`` decides, by name.

Whichever rule wins, a Connect URL that is let through must prove who issued its
certificate, on one of its dedicated addresses if it has any. At the end, ``mode:
monitor`` turns every block into a monitor that says what it would have done.
"""

from enforcer.policy.addresses import longest_prefix
from enforcer.policy.compile import CompiledPolicy, Specificity, connect_url_rule, specificity
from enforcer.policy.model import (
    Action,
    CertificateCheck,
    ConnectUrl,
    Mode,
    OnFailure,
    Plane,
    Request,
    Rule,
    Verdict,
)


def decide(policy: CompiledPolicy, request: Request) -> Verdict:
    """The verdict on a request. Total and pure: never raises, never waits, same in same out."""
    url = policy.connect_url(request.name, request.port)
    rule = _most_specific(policy, request, with_packs=url is None)
    action, reason, verify = rule.action, rule.reason, None
    if url is not None and action is not Action.BLOCK:
        conditions = _connect_url_conditions(policy, url, request)
        if conditions is not None:
            rule = connect_url_rule(url)
            action, reason = conditions
        elif request.plane is not Plane.DNS and request.certificate is None:
            verify = url
    if action is Action.BLOCK and policy.policy.mode is Mode.MONITOR:
        action, reason = Action.MONITOR, f"would block: {reason}"
    return Verdict(
        action=action,
        rule=rule.id,
        reason=reason,
        source=rule.source,
        mode=policy.policy.mode,
        refusal=rule.refusal,
        sinkhole=rule.sinkhole,
        connect_url=url,
        verify=verify,
    )


def _most_specific(policy: CompiledPolicy, request: Request, *, with_packs: bool) -> Rule:
    best: Specificity | None = None
    winner = policy.policy.default
    for fit, rule in policy.candidates(request.name):
        if rule.from_pack and not with_packs:
            continue
        key = specificity(rule, fit, request)
        if key is not None and (best is None or key > best):
            best, winner = key, rule
    return winner


def _connect_url_conditions(
    policy: CompiledPolicy, url: ConnectUrl, request: Request
) -> tuple[Action, str] | None:
    """What the facts known so far say of a Connect URL that no rule blocks."""
    if (
        url.addresses
        and request.address is not None
        and not longest_prefix(request.address, url.addresses)
    ):
        return Action.BLOCK, f"{request.address} is not a dedicated address of {url}"
    if request.plane is Plane.HTTP:
        return Action.BLOCK, f"{url} is reached over TLS, never over plain HTTP"
    if request.certificate is None:
        return None
    check, reason = request.certificate
    if check is CertificateCheck.ACCEPTED:
        return Action.ALLOW, reason
    if check is CertificateCheck.UNAVAILABLE and policy.policy.tls_on_failure is OnFailure.OPEN:
        return Action.MONITOR, f"let through unverified (on_failure is open): {reason}"
    return Action.BLOCK, reason
