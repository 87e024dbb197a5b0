"""Way round: no lookup at all, the default ingress by an address known from elsewhere.

Closed by: the TLS gate, which asks the policy about the SNI, whatever the address.
"""

import pytest
from e2e.judges import UNRECOGNIZED_NAME, shake_hands
from e2e.topology import (
    CLIENT,
    DEFAULT_INGRESS,
    EDGE,
    LEGACY_INGRESSES,
    REGIONAL_INGRESSES,
)

pytestmark = pytest.mark.root

QUICK_S = 2
FAMILIES = pytest.mark.parametrize(
    ("address", "client"), list(zip(EDGE, CLIENT, strict=True)), ids=["v4", "v6"]
)


@FAMILIES
def test_agent_that_knows_the_address_is_refused(lab, gateway, edge, authority, address, client):
    result = lab.agent(f"{DEFAULT_INGRESS}:443", authority.root_pem, address=address)
    assert result.error == "failed to connect session: tls handshake error"
    assert result.seconds < QUICK_S
    record = gateway.audited(
        "--name", DEFAULT_INGRESS, plane="tls", action="block", client=client, address=address
    )
    assert record["rule"] == "ngrok-connect"
    assert record["port"] == 443
    assert edge.hellos(DEFAULT_INGRESS) == 0


@FAMILIES
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize(
    "name", [DEFAULT_INGRESS, REGIONAL_INGRESSES[0], *LEGACY_INGRESSES, "Connect.NGROK-agent.com"]
)
def test_refusal_is_a_tls_alert(lab, gateway, edge, name, version, address, client):
    handshake = shake_hands(lab.client, address, name, version)
    assert handshake.alert == UNRECOGNIZED_NAME, handshake.text
    assert not handshake.certificate
    assert handshake.seconds < QUICK_S
    assert edge.hellos(name) == 0


def test_refusals_are_counted(lab, gateway):
    labels = {"action": "block", "entrance": "tls"}
    before = gateway.count("enforcer_tls_connections_total", **labels)
    for _ in range(3):
        shake_hands(lab.client, EDGE.v4, DEFAULT_INGRESS)
    assert gateway.count("enforcer_tls_connections_total", **labels) - before == 3
