"""Way round: another server behind the Connect URL's name, by a forged answer or delegation.

Closed by: issuer verification. Before the first byte of an agent's is passed on, the gate
looks at the certificate itself, which must lead to the pinned root, for that host, today.
"""

import pki
import pytest
from e2e import policies
from e2e.agent import GREETING
from e2e.impostors import IMPOSTORS
from e2e.ingress import ANY_NAME
from e2e.judges import ACCESS_DENIED, shake_hands
from e2e.topology import CONNECT_URL, EDGE, IMPOSTOR

pytestmark = pytest.mark.root

HANDSHAKE_FAILED = "failed to connect session: tls handshake error"
CASES = pytest.mark.parametrize("case", IMPOSTORS)


@pytest.fixture(scope="module")
def impostor(lab, authority):
    """One server, which shows each Connect URL's clients another false certificate."""
    certificates = {
        kind.host(name): kind.issue(authority, kind.host(name)) for name, kind in IMPOSTORS.items()
    }
    other = pki.letsencrypt_like().leaf(CONNECT_URL)
    return lab.start_edge({ANY_NAME: other, **certificates}, IMPOSTOR)


@pytest.fixture(scope="module")
def gateway(lab, edge, authority):
    hosts = [CONNECT_URL, *(kind.host(name) for name, kind in IMPOSTORS.items())]
    policy = policies.enforcing(connect_urls=[policies.connect_url(host) for host in hosts])
    return lab.start_gateway(policy, files={policies.ROOT_FILE: authority.root_pem})


@CASES
def test_agent_is_refused(lab, gateway, impostor, authority, case):
    kind = IMPOSTORS[case]
    host = kind.host(case)
    lab.point(host, IMPOSTOR)
    probes = gateway.count("enforcer_connect_url_probes_total", result="refused")
    result = lab.agent(f"{host}:443", authority.root_pem)
    assert result.error == HANDSHAKE_FAILED
    assert result.seconds < 2
    record = gateway.audited("--name", host, plane="tls", action="block")
    assert f"({kind.code})" in record["reason"]
    assert record["address"] in IMPOSTOR
    assert record["port"] == 443
    assert gateway.count("enforcer_connect_url_probes_total", result="refused") == probes + 1
    # The gateway's own look, and nothing of the agent's: not even its ClientHello.
    assert impostor.hellos(host) == 1
    assert impostor.sessions() == []


@CASES
def test_agent_without_a_gateway_refuses_it_too(lab, gateway, impostor, authority, case):
    """The gateway must not be stricter than the agent, nor the scenarios above unreal."""
    host = IMPOSTORS[case].host(case)
    result = lab.agent(f"{host}:443", authority.root_pem, address=IMPOSTOR.v4, outside=True)
    assert result.error == HANDSHAKE_FAILED
    assert impostor.sessions() == []


def test_refusal_is_a_tls_alert(lab, gateway, impostor):
    host = IMPOSTORS["another_ca"].host("another_ca")
    handshake = shake_hands(lab.client, IMPOSTOR.v4, host)
    assert handshake.alert == ACCESS_DENIED, handshake.text
    assert not handshake.certificate
    assert handshake.seconds < 2


@pytest.mark.parametrize("hop", ["connect", "socks5"])
def test_agent_through_the_proxy_is_refused(lab, gateway, impostor, authority, hop):
    kind = IMPOSTORS["right_name_another_key"]
    host = kind.host("right_name_another_key")
    lab.point(host, IMPOSTOR)
    result = lab.agent(f"{host}:443", authority.root_pem, via=hop)
    assert result.error == HANDSHAKE_FAILED
    record = gateway.audited("--name", host, plane=hop, action="block")
    assert f"({kind.code})" in record["reason"]
    assert impostor.sessions() == []


def test_agent_is_refused_once_the_name_leads_to_an_impostor(
    lab, gateway, edge, impostor, authority
):
    """A delegation that is taken over: verified at one address says nothing of another."""
    with lab.connected_agent(f"{CONNECT_URL}:443", authority.root_pem) as agent:
        assert agent.result.connected, agent.result.error
        lab.point(CONNECT_URL, IMPOSTOR)
        try:
            assert lab.agent(f"{CONNECT_URL}:443", authority.root_pem).error == HANDSHAKE_FAILED
        finally:
            lab.point(CONNECT_URL, EDGE)
        assert lab.ask_endpoint(agent.result.url) == GREETING.decode()
    record = gateway.audited("--name", CONNECT_URL, plane="tls", action="block")
    assert record["address"] in IMPOSTOR
    assert impostor.sessions() == []
