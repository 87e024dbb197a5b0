"""The policy in force: planes read ``current`` per request, a reload assigns it once."""

from dataclasses import dataclass

from enforcer.policy.compile import CompiledPolicy


@dataclass(slots=True)
class PolicyHolder:
    current: CompiledPolicy
