"""Way round: the default ingress through the company's own proxy, by CONNECT or SOCKS5.

Closed by: the proxy's front door, which asks the policy about the destination, and again
about what is spoken through the tunnel.
"""

import pytest
from e2e.gateway import PROXY_PORT, TLS_PORT
from e2e.judges import UNRECOGNIZED_NAME, curl
from e2e.topology import (
    CLIENT,
    CONNECT_URL,
    DEFAULT_INGRESS,
    EDGE,
    GATEWAY,
    LEGACY_INGRESSES,
    REGIONAL_INGRESSES,
    WEB_HOST,
)

pytestmark = pytest.mark.root

PROXY = f"{GATEWAY.v4}:{PROXY_PORT}"
# curl's exit codes: a tunnel that was refused, and a SOCKS handshake that was.
TUNNEL_REFUSED, SOCKS_REFUSED = 56, 97
NAMES = pytest.mark.parametrize(
    "name", [DEFAULT_INGRESS, REGIONAL_INGRESSES[0], LEGACY_INGRESSES[0]]
)
HOPS = pytest.mark.parametrize("hop", ["connect", "socks5"])


@NAMES
def test_connect_is_answered_403_with_the_reason(lab, gateway, name):
    fetch = curl(lab.client, "--proxy", f"http://{PROXY}", f"https://{name}/")
    assert fetch.code == TUNNEL_REFUSED
    assert "< HTTP/1.1 403 Forbidden" in fetch.dialogue
    proxy_status = next(
        line for line in fetch.dialogue.splitlines() if line.startswith("< Proxy-Status: ")
    )
    assert "enforcer; error=http_request_denied; details=" in proxy_status
    assert f"use {CONNECT_URL}:443" in proxy_status
    record = gateway.audited("--name", name, plane="connect", client=CLIENT.v4)
    assert (record["action"], record["port"]) == ("block", 443)


@NAMES
def test_socks5_is_answered_not_allowed(lab, gateway, name):
    fetch = curl(lab.client, "--proxy", f"socks5h://{PROXY}", f"https://{name}/")
    assert fetch.code == SOCKS_REFUSED
    # RFC 1928 6: 2 is "connection not allowed by ruleset".
    assert f"Can't complete SOCKS5 connection to {name}. (2)" in fetch.dialogue
    record = gateway.audited("--name", name, plane="socks5", client=CLIENT.v4)
    assert (record["action"], record["port"]) == ("block", 443)


@HOPS
def test_agent_through_the_proxy_is_refused(lab, gateway, edge, authority, hop):
    labels = {"action": "block", "entrance": hop}
    before = gateway.count("enforcer_tls_connections_total", **labels)
    result = lab.agent(f"{DEFAULT_INGRESS}:443", authority.root_pem, via=hop)
    assert result.error == "failed to connect session: tls handshake error"
    assert result.seconds < 2
    assert gateway.count("enforcer_tls_connections_total", **labels) > before
    assert edge.hellos(DEFAULT_INGRESS) == 0


@HOPS
def test_proxy_asked_for_an_address_looks_at_the_sni(lab, gateway, edge, authority, hop):
    """The tunnel is opened, since an address alone is no reason; the ClientHello is."""
    result = lab.agent(f"{DEFAULT_INGRESS}:443", authority.root_pem, via=hop, address=EDGE.v4)
    assert result.error == "failed to connect session: tls handshake error"
    gateway.audited("--name", DEFAULT_INGRESS, plane=hop, address=EDGE.v4, action="block")
    assert edge.hellos(DEFAULT_INGRESS) == 0


def test_innocent_destination_does_not_hide_a_default_name(lab, gateway, edge, authority):
    """CONNECT www.example.org, and then the default name in the ClientHello."""
    lab.start_web(authority.leaf(WEB_HOST))
    through = ["-proxy", PROXY, "-connect", f"{WEB_HOST}:443", "-servername", DEFAULT_INGRESS]
    text = lab.client.run(["openssl", "s_client", *through]).stderr
    assert f"SSL alert number {UNRECOGNIZED_NAME}" in text
    assert edge.hellos(DEFAULT_INGRESS) == 0


def test_plain_http_to_a_default_name_is_refused(lab, gateway):
    fetch = curl(lab.client, "--proxy", f"http://{PROXY}", f"http://{DEFAULT_INGRESS}/")
    assert "< HTTP/1.1 403 Forbidden" in fetch.dialogue
    assert "blocked by rule ngrok-connect" in fetch.body
    gateway.audited("--name", DEFAULT_INGRESS, plane="http", action="block")


@pytest.mark.parametrize("port", [PROXY_PORT, TLS_PORT])
def test_proxy_does_not_proxy_to_itself(lab, gateway, port):
    """It would go round for ever, and hide who asks."""
    own = f"{GATEWAY.v4}:{port}"
    plain = curl(lab.client, "--proxy", f"http://{PROXY}", f"http://{own}/")
    tunnel = curl(lab.client, "--proxy", f"http://{PROXY}", "--proxytunnel", f"http://{own}/")
    for fetch in (plain, tunnel):
        assert "< HTTP/1.1 403 " in fetch.dialogue
        assert "error=destination_ip_prohibited" in fetch.dialogue
    for plane in ("http", "connect"):
        gateway.audited(address=GATEWAY.v4, port=port, plane=plane, rule="gateway-address")
