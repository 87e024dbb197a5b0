"""Way round: an agent looks up a default name, a region's or a legacy one.

Closed by: the DNS plane, which asks the policy about the question and answers NXDOMAIN,
with an Extended DNS Error that names the Connect URL to use.
"""

import pytest
from e2e.judges import dig
from e2e.process import until
from e2e.topology import (
    CLIENT,
    CONNECT_URL,
    DEFAULT_INGRESS,
    EDGE,
    INGRESSES,
    LEGACY_INGRESSES,
    REGIONAL_INGRESSES,
)

pytestmark = pytest.mark.root

NO_ADDRESS = "failed to connect session: failed to establish tcp connection"
BLOCKED = {"plane": "dns", "action": "block", "client": CLIENT.v4, "mode": "enforce"}
QUICK_S = 2


def test_agent_to_the_default_ingress_is_refused(lab, gateway, edge, authority):
    result = lab.agent(f"{DEFAULT_INGRESS}:443", authority.root_pem)
    assert result.error == NO_ADDRESS
    assert result.seconds < QUICK_S
    record = gateway.audited("--name", DEFAULT_INGRESS, **BLOCKED)
    assert record["rule"] == "ngrok-connect"
    assert "packs/ngrok.yaml:" in record["source"]
    assert edge.hellos(DEFAULT_INGRESS) == 0


@pytest.mark.parametrize("name", [REGIONAL_INGRESSES[1], REGIONAL_INGRESSES[-1], *LEGACY_INGRESSES])
def test_agent_to_another_default_name_is_refused(lab, gateway, authority, name):
    result = lab.agent(f"{name}:443", authority.root_pem)
    assert result.error == NO_ADDRESS
    assert result.seconds < QUICK_S


def test_every_default_name_is_blocked_for_both_address_families(lab, gateway):
    counted = gateway.count("enforcer_dns_queries_total", action="block")
    questions = [(name, kind) for name in INGRESSES for kind in ("A", "AAAA")]
    for name, kind in questions:
        assert dig(lab.client, name, kind).status == "NXDOMAIN", name
    until(lambda: set(INGRESSES) <= recorded_names(gateway), "every name to be on record")
    counted_after = gateway.count("enforcer_dns_queries_total", action="block")
    assert counted_after - counted == len(questions)


def recorded_names(gateway):
    return {row["name"] for row in gateway.audit("--action", "block")}


def test_refusal_names_the_connect_url_to_use(lab, gateway):
    error = dig(lab.client, DEFAULT_INGRESS).error
    assert error.startswith("EDE: 15 (Blocked): ")
    assert "blocked by rule ngrok-connect" in error
    assert f"use {CONNECT_URL}:443" in error


@pytest.mark.parametrize("name", ["CoNnEcT.NgRoK-aGeNt.CoM", f"{DEFAULT_INGRESS}."])
def test_name_in_other_letters_is_the_same_name(lab, gateway, name):
    assert dig(lab.client, name).status == "NXDOMAIN"


def test_name_of_a_region_to_come_is_blocked(lab, gateway):
    assert dig(lab.client, "connect.mars-1.ngrok-agent.com").status == "NXDOMAIN"


def test_lookup_of_the_connect_url_is_answered(lab, gateway):
    for kind, address in zip(("A", "AAAA"), EDGE, strict=True):
        assert dig(lab.client, CONNECT_URL, kind).data == (address,)
    record = gateway.audited("--name", CONNECT_URL, plane="dns")
    assert record["action"] == "allow"
