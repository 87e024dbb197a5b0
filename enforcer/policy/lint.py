"""What a policy must leave reachable, and what it should cover.

The names are ngrok's documented ones; they stand here apart from packs/ngrok.yaml so
that a policy without the pack, or with an old copy of it, is still measured by them.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.decide import decide
from enforcer.policy.model import Action, Mode, Plane, Request, Verdict
from enforcer.policy.source import Problem

# Points of presence; eu-lon-1 is named by the agent's own --region list only.
REGIONS = ("us", "eu", "ap", "au", "sa", "jp", "in", "us-cal-1", "eu-lon-1")
DEFAULT_INGRESS = (
    "connect.ngrok-agent.com",
    *(f"connect.{region}.ngrok-agent.com" for region in REGIONS),
    "tunnel.ngrok.com",
    *(f"tunnel.{region}.ngrok.com" for region in REGIONS),
)


class Need(NamedTuple):
    """A host that an agent behind an allowed Connect URL talks to."""

    host: str
    port: int
    why: str


# The command line agent fetches its CRL before it connects, and fails without it.
REQUIRED = (
    Need("crl.ngrok-agent.com", 80, "agents fetch their certificate revocation list there"),
)
WANTED = (
    Need("crl.ngrok.com", 80, "agents up to 3.9 fetch their revocation list there"),
    Need("update.ngrok-agent.com", 443, "agents update themselves from there"),
)


class Findings(NamedTuple):
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def lint(policy: CompiledPolicy) -> Findings:
    """Faults that only show when the rules work together, judged as if enforced."""
    enforced = replace(policy, policy=replace(policy.policy, mode=Mode.ENFORCE))
    if not policy.policy.connect_urls:
        return Findings((), tuple(_uncovered(enforced)))
    return Findings(
        tuple(_blocked(enforced, REQUIRED)),
        (*_blocked(enforced, WANTED), *_uncovered(enforced)),
    )


def _blocked(policy: CompiledPolicy, needs: tuple[Need, ...]) -> Iterator[Problem]:
    for need in needs:
        verdict = _reach(policy, need)
        if verdict.blocks:
            url = policy.policy.connect_urls[0]
            yield Problem(
                verdict.source,
                verdict.rule,
                f"the Connect URL {url} is allowed, but {need.host}:{need.port} is blocked, and "
                f"{need.why}",
                "add the rule {id: agents-need-" + need.host.replace(".", "-") + ", action: allow, "
                f"match: {{names: [{need.host}], ports: [{need.port}]}}}}",
            )


def _reach(policy: CompiledPolicy, need: Need) -> Verdict:
    """The first verdict on the way to a host that blocks, or the last one."""
    lookup = decide(policy, Request(Plane.DNS, need.host))
    if lookup.blocks:
        return lookup
    return decide(policy, Request(Plane.CONNECT, need.host, port=need.port))


def _uncovered(policy: CompiledPolicy) -> Iterator[Problem]:
    verdicts = {name: decide(policy, Request(Plane.DNS, name)) for name in DEFAULT_INGRESS}
    missed = [
        name
        for name, verdict in verdicts.items()
        if verdict.action is Action.ALLOW and verdict.rule == policy.policy.default.id
    ]
    if missed:
        yield Problem(
            policy.policy.source,
            "rules",
            f"no rule covers ngrok's default ingress at {', '.join(missed)}",
            "include packs/ngrok.yaml, or add rules for them",
        )
