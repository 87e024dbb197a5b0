"""Way round: a connection to port 443 that names no host: SSH, or TLS without SNI.

Closed by: the TLS gate, which reads the first bytes. SSH on 443 is blocked by the pack;
TLS without SNI is judged by its address, so list the addresses that must not be reached.
"""

import pytest
from e2e import policies
from e2e.gateway import PROXY_PORT
from e2e.judges import UNRECOGNIZED_NAME, shake_hands
from e2e.topology import DEFAULT_INGRESS, EDGE, GATEWAY, IMPOSTOR, WEB, WEB_HOST

pytestmark = pytest.mark.root

LISTED = f"{IMPOSTOR.v4}/32"
SSH_BANNER = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"


@pytest.fixture(scope="module")
def gateway(lab, edge, authority):
    lab.start_web(authority.leaf(WEB_HOST))
    policy = policies.enforcing(rules=[policies.block("listed-address", addresses=[LISTED])])
    return lab.start_gateway(policy, files={policies.ROOT_FILE: authority.root_pem})


def test_ssh_on_443_is_refused(lab, gateway):
    """``ssh -R 443:localhost:80 v2@connect.ngrok-agent.com -p 443``, as far as it gets."""
    ended = lab.client.run(["ncat", "-w", "3", EDGE.v4, "443"], text=SSH_BANNER)
    assert ended.stdout == ""
    record = gateway.audited(rule="ngrok-ssh-on-443", address=EDGE.v4)
    assert (record["action"], record["port"], record["name"]) == ("block", 443, "")


def test_ssh_behind_another_line_is_refused(lab, gateway):
    """Only a server may send such a line, but servers written in Go read past a client's."""
    labels = {"action": "block", "entrance": "tls"}
    before = gateway.count("enforcer_tls_connections_total", **labels)
    ended = lab.client.run(["ncat", "-w", "3", EDGE.v4, "443"], text=f"hello\n{SSH_BANNER}")
    assert ended.stdout == ""
    assert gateway.count("enforcer_tls_connections_total", **labels) == before + 1


def test_ssh_on_443_is_refused_through_the_proxy(lab, gateway):
    proxy = ["--proxy", f"{GATEWAY.v4}:{PROXY_PORT}", "--proxy-type", "http"]
    ended = lab.client.run(["ncat", "-w", "3", *proxy, EDGE.v4, "443"], text=SSH_BANNER)
    assert ended.stdout == ""
    gateway.audited(rule="ngrok-ssh-on-443", plane="connect", action="block")


def test_no_sni_to_a_listed_address_is_refused(lab, gateway):
    handshake = shake_hands(lab.client, IMPOSTOR.v4, "")
    assert handshake.alert == UNRECOGNIZED_NAME, handshake.text
    record = gateway.audited(rule="listed-address")
    assert (record["action"], record["address"], record["name"]) == ("block", IMPOSTOR.v4, "")


def test_agent_given_a_listed_address_as_its_ingress_is_refused(lab, gateway, authority):
    result = lab.agent(f"{IMPOSTOR.v4}:443", authority.root_pem)
    assert result.error == "failed to connect session: tls handshake error"
    assert result.seconds < 2


def test_no_sni_to_another_address_is_let_through(lab, gateway):
    assert shake_hands(lab.client, WEB.v4, "").certificate


def test_real_agent_trusts_no_bare_address_either(lab, gateway, edge, authority):
    """No SNI reaches the edge; what it presents names a host, and the agent wants the address."""
    result = lab.agent(f"{EDGE.v4}:443", authority.root_pem)
    assert result.error == "failed to connect session: tls handshake error"
    assert edge.sessions() == []
    assert edge.hellos(DEFAULT_INGRESS) == 0
