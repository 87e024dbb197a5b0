"""The policy in force."""

from enforcer.policy.admit import admit_policy
from enforcer.policy.holder import PolicyHolder


def test_a_swap_is_one_assignment():
    first, second = admit_policy(), admit_policy()
    holder = PolicyHolder(first)
    in_use = holder.current
    holder.current = second
    assert in_use is first
    assert holder.current is second
