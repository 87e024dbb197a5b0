"""mode: monitor lets every way round pass, and records what enforce would have done."""

import pki
import pytest
from e2e import policies
from e2e.agent import GREETING
from e2e.gateway import PROXY_PORT
from e2e.impostors import IMPOSTORS
from e2e.ingress import ANY_NAME
from e2e.judges import curl, dig, shake_hands
from e2e.topology import (
    CLOAK,
    CONNECT_URL,
    DEFAULT_INGRESS,
    EDGE,
    GATEWAY,
    IMPOSTOR,
    INGRESSES,
)

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def impostor(lab, authority):
    certificates = {
        kind.host(name): kind.issue(authority, kind.host(name)) for name, kind in IMPOSTORS.items()
    }
    return lab.start_edge(
        {ANY_NAME: pki.letsencrypt_like().leaf(CONNECT_URL), **certificates}, IMPOSTOR
    )


@pytest.fixture(scope="module")
def gateway(lab, edge, authority):
    hosts = [CONNECT_URL, *(kind.host(name) for name, kind in IMPOSTORS.items())]
    policy = policies.enforcing(
        mode="monitor", connect_urls=[policies.connect_url(host) for host in hosts]
    )
    return lab.start_gateway(policy, files={policies.ROOT_FILE: authority.root_pem})


def would_have_blocked(gateway, name, plane, rule="ngrok-connect"):
    record = gateway.audited("--name", name, plane=plane, action="monitor", mode="monitor")
    assert record["rule"] == rule
    assert "would block: " in record["reason"]
    return record


def assert_serves(lab, edge, agent, sni):
    assert agent.result.connected, agent.result.error
    assert edge.wait_for_bind(agent.result.url).sni == sni
    assert lab.ask_endpoint(agent.result.url) == GREETING.decode()


def test_default_name_by_dns_passes(lab, gateway, edge, authority):
    with lab.connected_agent(f"{DEFAULT_INGRESS}:443", authority.root_pem) as agent:
        assert_serves(lab, edge, agent, DEFAULT_INGRESS)
    would_have_blocked(gateway, DEFAULT_INGRESS, "dns")
    would_have_blocked(gateway, DEFAULT_INGRESS, "tls")
    assert gateway.count("enforcer_dns_queries_total", action="monitor") > 0
    assert gateway.count("enforcer_dns_queries_total", action="block") == 0


@pytest.mark.parametrize("name", INGRESSES)
def test_every_default_name_is_answered(lab, gateway, name):
    assert dig(lab.client, name).data == (EDGE.v4,)


@pytest.mark.parametrize("address", EDGE)
def test_default_name_without_dns_passes(lab, gateway, edge, authority, address):
    with lab.connected_agent(
        f"{DEFAULT_INGRESS}:443", authority.root_pem, address=address
    ) as agent:
        assert_serves(lab, edge, agent, DEFAULT_INGRESS)
    assert would_have_blocked(gateway, DEFAULT_INGRESS, "tls")["address"] == address


@pytest.mark.parametrize("hop", ["connect", "socks5"])
def test_default_name_through_the_proxy_passes(lab, gateway, edge, authority, hop):
    with lab.connected_agent(f"{DEFAULT_INGRESS}:443", authority.root_pem, via=hop) as agent:
        assert_serves(lab, edge, agent, DEFAULT_INGRESS)
    would_have_blocked(gateway, DEFAULT_INGRESS, hop)


def test_cloak_passes(lab, gateway):
    assert dig(lab.client, CLOAK).data == (f"{DEFAULT_INGRESS}.", EDGE.v4)
    assert DEFAULT_INGRESS in would_have_blocked(gateway, CLOAK, "dns")["reason"]


@pytest.mark.parametrize("hop", ["connect", "socks5"])
def test_cloak_through_the_proxy_passes(lab, gateway, edge, authority, hop):
    lab.agent(f"{CLOAK}:443", authority.root_pem, via=hop)
    assert edge.hellos(CLOAK) > 0
    assert DEFAULT_INGRESS in would_have_blocked(gateway, CLOAK, hop)["reason"]


@pytest.mark.parametrize("case", IMPOSTORS)
def test_impostor_of_the_connect_url_passes(lab, gateway, impostor, case):
    """Judged by openssl, which trusts anything when told to; an agent would not."""
    kind = IMPOSTORS[case]
    host = kind.host(case)
    handshake = shake_hands(lab.client, IMPOSTOR.v4, host)
    assert handshake.certificate, handshake.text
    assert host in {event["sni"] for event in impostor.events("connection")}
    record = would_have_blocked(gateway, host, "tls", f"connect-url:{host}:443")
    assert f"({kind.code})" in record["reason"]


def test_agent_that_trusts_the_impostor_opens_a_session_there(lab, gateway, impostor):
    trusting = pki.ngrok_like(keys="impostor").root_pem
    host = IMPOSTORS["right_name_another_key"].host("right_name_another_key")
    result = lab.agent(f"{host}:443", trusting, address=IMPOSTOR.v4)
    assert result.connected, result.error
    assert host in {session.sni for session in impostor.sessions()}


def test_ssh_on_443_passes(lab, gateway, edge):
    """What answers is a TLS server, which says so in its own way."""
    banner = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
    lab.client.run(["ncat", "-w", "2", EDGE.v4, "443"], text=banner)
    record = gateway.audited(rule="ngrok-ssh-on-443", address=EDGE.v4)
    assert record["action"] == "monitor"


def test_plain_http_to_a_default_name_passes_the_policy(lab, gateway, edge, authority):
    lab.start_web(authority.leaf(DEFAULT_INGRESS))
    proxy = f"http://{GATEWAY.v4}:{PROXY_PORT}"
    fetch = curl(lab.client, "--proxy", proxy, f"http://{DEFAULT_INGRESS}/")
    assert fetch.body == "an ordinary site\n"
    would_have_blocked(gateway, DEFAULT_INGRESS, "http")


def test_connect_url_itself_is_a_plain_allow(lab, gateway, edge, authority):
    result = lab.agent(f"{CONNECT_URL}:443", authority.root_pem)
    assert result.connected, result.error
    record = gateway.audited("--name", CONNECT_URL, plane="tls")
    assert (record["action"], record["mode"]) == ("allow", "monitor")
