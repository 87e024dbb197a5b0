"""What all tests share: a policy from its text, and a clock that stands still."""

import os
from textwrap import dedent

import pytest
from hypothesis import settings

from enforcer.policy.admit import admit_policy

# No deadlines: a busy machine is no bug. HYPOTHESIS_PROFILE=thorough looks longer.
settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# 2026-11-24 12:00:00 UTC
NOON_S = 1_795_521_600.0


class FixedClock:
    """Called like time.time; moves only when told to."""

    def __init__(self, now_s):
        self.now_s = now_s

    def __call__(self):
        return self.now_s

    def advance(self, seconds):
        self.now_s += seconds


@pytest.fixture
def clock():
    return FixedClock(NOON_S)


@pytest.fixture
def write_policy(tmp_path):
    """Writes policy text, and files beside it by name, and says where the policy is."""

    def write(text, **beside):
        for name, content in {"policy.yaml": text, **beside}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(content), encoding="utf-8")
        return tmp_path / "policy.yaml"

    return write


@pytest.fixture
def policy_from(write_policy):
    """Policy text to a CompiledPolicy, as a gateway loads it: PolicyError and all.

    Packs and roots stand beside it: ``policy_from(text, **{"packs/mine.yaml": pack_text})``.
    """

    def admit(text, **beside):
        return admit_policy(write_policy(text, **beside))

    return admit
