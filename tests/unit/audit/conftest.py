"""Events to record: a whole one, of which each test changes what it is about."""

import pytest

from enforcer.audit.event import AuditEvent

BLOCKED = AuditEvent(
    time_s=1_795_521_600.0,  # 2026-11-24 12:00:00 UTC
    last_time_s=1_795_521_600.0,
    plane="dns",
    client="192.0.2.7",
    name="connect.ngrok-agent.com",
    address="",
    port=None,
    action="block",
    rule="ngrok-connect",
    reason="ngrok's default ingress is closed here",
    mode="enforce",
    source="policy.yaml:3",
    policy="abc",
)


@pytest.fixture
def event():
    """``event(client="192.0.2.8", at=5)``: a block, 5 s after noon."""

    def make(at=0.0, **changes):
        time_s = BLOCKED.time_s + at
        return BLOCKED._replace(time_s=time_s, last_time_s=time_s)._replace(**changes)

    return make
