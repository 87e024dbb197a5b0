"""What a policy file goes through before a plane may see it: load, compile, lint, precompute."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from enforcer.policy.compile import CompiledPolicy, compile_policy
from enforcer.policy.decide import decide
from enforcer.policy.lint import lint
from enforcer.policy.load import load_policy
from enforcer.policy.model import Plane, Policy, Request, Verdict
from enforcer.policy.names import to_wire
from enforcer.policy.source import PolicyError


def admit_policy(path: Path | None = None) -> CompiledPolicy:
    """The policy at ``path`` (or the embedded default), ready to be asked.

    Raises PolicyError with every problem found. Warnings are on the result.
    """
    return admit(load_policy(path))


def admit(policy: Policy) -> CompiledPolicy:
    """The same for a policy that is loaded already."""
    compiled = compile_policy(policy)
    findings = lint(compiled)
    if findings.errors:
        raise PolicyError(findings.errors)
    return replace(
        compiled, warnings=findings.warnings, dns_blocked=dict(_blocked_for_everyone(compiled))
    )


def _blocked_for_everyone(policy: CompiledPolicy) -> Iterator[tuple[bytes, Verdict]]:
    for name in policy.exact:
        if not any(rule.match.clients for _, rule in policy.candidates(name)):
            verdict = decide(policy, Request(Plane.DNS, name))
            if verdict.blocks:
                yield to_wire(name), verdict
