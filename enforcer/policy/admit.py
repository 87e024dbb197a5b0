"""What a policy file goes through before a plane may see it: load, compile, lint."""

from dataclasses import replace
from pathlib import Path

from enforcer.policy.compile import CompiledPolicy, compile_policy
from enforcer.policy.lint import lint
from enforcer.policy.load import load_policy
from enforcer.policy.model import Policy
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
    return replace(compiled, warnings=findings.warnings)
