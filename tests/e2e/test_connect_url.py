"""The Connect URL is open: a real agent opens a session there and its endpoint answers.

The other half of every way round: what is allowed must work, untouched and at once.
"""

import pytest
from e2e.agent import GREETING
from e2e.process import until
from e2e.topology import CLIENT, CONNECT_URL, EDGE, IMPOSTOR, REGION_HOST

pytestmark = pytest.mark.root

QUICK_S = 2


def assert_serves(lab, edge, agent, sni):
    """A session under ``sni``, and an endpoint that hands a request through to the agent."""
    assert agent.result.connected, agent.result.error
    session = edge.wait_for_bind(agent.result.url)
    assert session.sni == sni
    assert session.authenticated
    assert lab.ask_endpoint(agent.result.url) == GREETING.decode()
    assert not session.ended


@pytest.mark.parametrize("host", [CONNECT_URL, REGION_HOST])
def test_agent_opens_a_session_and_its_endpoint_answers(lab, gateway, edge, authority, host):
    with lab.connected_agent(f"{host}:443", authority.root_pem) as agent:
        assert_serves(lab, edge, agent, host)
        assert agent.result.seconds < QUICK_S


@pytest.mark.parametrize(("address", "client"), list(zip(EDGE, CLIENT, strict=True)))
def test_agent_without_dns_opens_a_session(lab, gateway, edge, authority, address, client):
    with lab.connected_agent(f"{CONNECT_URL}:443", authority.root_pem, address=address) as agent:
        assert_serves(lab, edge, agent, CONNECT_URL)
    record = gateway.audited("--client", client, plane="tls", address=address)
    assert record["action"] == "allow"
    assert "is accepted" in record["reason"]


@pytest.mark.parametrize("hop", ["connect", "socks5"])
@pytest.mark.parametrize("host", [CONNECT_URL, REGION_HOST])
def test_agent_opens_a_session_through_the_proxy(lab, gateway, edge, authority, hop, host):
    labels = {"action": "allow", "entrance": hop}
    before = gateway.count("enforcer_tls_connections_total", **labels)
    with lab.connected_agent(f"{host}:443", authority.root_pem, via=hop) as agent:
        assert_serves(lab, edge, agent, host)
    record = gateway.audited("--name", host, plane=hop)
    assert record["action"] == "allow"
    until(
        lambda: gateway.count("enforcer_tls_connections_total", **labels) > before,
        "the connection to be counted",
    )


@pytest.mark.parametrize("hop", ["connect", "socks5"])
def test_proxy_asked_for_an_address_goes_by_the_sni(lab, gateway, edge, authority, hop):
    with lab.connected_agent(
        f"{CONNECT_URL}:443", authority.root_pem, via=hop, address=EDGE.v4
    ) as agent:
        assert_serves(lab, edge, agent, CONNECT_URL)


def test_every_byte_passes_untouched(lab, gateway, edge, authority):
    """What a relay before the gateway saw of the agent, one behind it saw, and back."""
    far_side, target = f"{IMPOSTOR.v4}:443", f"{EDGE.v4}:443"
    with (
        lab.tap(lab.internet, far_side, target) as far,
        lab.tap(lab.client, "127.0.0.1:443", far_side) as near,
    ):
        with lab.connected_agent(
            f"{CONNECT_URL}:443", authority.root_pem, address="127.0.0.1"
        ) as agent:
            assert_serves(lab, edge, agent, CONNECT_URL)
        # Before it, the gateway looked at the certificate: connection 1 at the far relay.
        for direction in ("sent", "received"):
            until(
                lambda way=direction: (
                    (near / f"1.{way}").read_bytes() == (far / f"2.{way}").read_bytes()
                ),
                f"the same bytes to be {direction} at both ends",
            )
        assert (near / "1.sent").stat().st_size > 1000
        assert (near / "1.sent").read_bytes() != (far / "1.sent").read_bytes()


def test_certificate_is_looked_at_once_for_many_connections(lab, gateway, edge, authority):
    lab.agent(f"{CONNECT_URL}:443", authority.root_pem)
    before = gateway.count("enforcer_connect_url_probes_total")
    hellos = edge.hellos(CONNECT_URL)
    for _ in range(3):
        assert lab.agent(f"{CONNECT_URL}:443", authority.root_pem).connected
    assert gateway.count("enforcer_connect_url_probes_total") == before
    assert edge.hellos(CONNECT_URL) - hellos == 3


def test_name_below_the_connect_url_is_no_connect_url(lab, gateway, edge, authority):
    """Only what is listed is verified and recorded; the rest is anybody's site to the policy."""
    below = f"other.{CONNECT_URL}"
    probes = gateway.count("enforcer_connect_url_probes_total")
    lab.agent(f"{below}:443", authority.root_pem, address=EDGE.v4)
    assert edge.hellos(below) == 1
    assert gateway.count("enforcer_connect_url_probes_total") == probes
