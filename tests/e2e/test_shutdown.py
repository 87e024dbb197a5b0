"""SIGTERM: drain, keep every record, exit 0."""

import time

import pytest
from e2e import policies
from e2e.agent import GREETING
from e2e.judges import dig, shake_hands
from e2e.process import until
from e2e.topology import CONNECT_URL, EDGE

pytestmark = pytest.mark.root

DRAIN_S = 2
BLOCKED_LOOKUPS = 40


@pytest.fixture
def gateway(lab, edge, authority):
    """Writes its records rarely, so that what is on disk at the end was written by the drain."""
    gateway = lab.start_gateway(
        policies.enforcing(),
        settings={"drain_seconds": DRAIN_S, "audit": {"flush_interval_ms": 60_000}},
        files={policies.ROOT_FILE: authority.root_pem},
    )
    yield gateway
    gateway.assert_well()


def test_session_may_go_on_while_draining_and_then_ends(lab, gateway, edge, authority):
    with lab.connected_agent(f"{CONNECT_URL}:443", authority.root_pem) as agent:
        assert agent.result.connected, agent.result.error
        started_s = time.monotonic()
        gateway.terminate()
        until(lambda: refuses_new_ones(lab), "new connections to be refused")
        assert lab.ask_endpoint(agent.result.url) == GREETING.decode()
        assert gateway.wait() == 0
        assert DRAIN_S <= time.monotonic() - started_s < DRAIN_S + 3
        assert edge.wait_for_bind(agent.result.url)
    record = gateway.audit("--name", CONNECT_URL)
    assert {row["plane"] for row in record} == {"dns", "tls"}


def refuses_new_ones(lab):
    return not shake_hands(lab.client, EDGE.v4, CONNECT_URL).certificate


def test_drain_ends_with_the_last_session(lab, gateway, authority):
    with lab.connected_agent(f"{CONNECT_URL}:443", authority.root_pem) as agent:
        assert agent.result.connected, agent.result.error
        started_s = time.monotonic()
        gateway.terminate()
    assert gateway.wait() == 0
    assert time.monotonic() - started_s < DRAIN_S


def test_gateway_without_traffic_ends_at_once(gateway):
    started_s = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - started_s < DRAIN_S


def test_every_record_is_stored(lab, gateway):
    """Counted, stored and asked are one number, though nothing was written before."""
    names = [f"connect.r{number}.ngrok-agent.com" for number in range(BLOCKED_LOOKUPS)]
    batch = "".join(f"{name} A\n{name} AAAA\n" for name in names)
    asked = lab.client.run(["dig", "+tries=1", "-f", "-"], text=batch)
    assert asked.stdout.count("status: NXDOMAIN") == 2 * BLOCKED_LOOKUPS
    assert gateway.count("enforcer_dns_queries_total", action="block") == 2 * BLOCKED_LOOKUPS
    assert gateway.audit() == []
    assert gateway.stop() == 0
    rows = gateway.audit("--action", "block")
    assert {row["name"] for row in rows} == set(names)
    assert sum(row["count"] for row in rows) == 2 * BLOCKED_LOOKUPS


def test_second_signal_ends_it_now(lab, gateway, authority):
    with lab.connected_agent(f"{CONNECT_URL}:443", authority.root_pem) as agent:
        assert agent.result.connected, agent.result.error
        started_s = time.monotonic()
        gateway.terminate()
        until(lambda: refuses_new_ones(lab), "the drain to begin")
        gateway.terminate()
        assert gateway.wait() == 0
        assert time.monotonic() - started_s < DRAIN_S
    assert dig(lab.client, CONNECT_URL).status != "NOERROR"
