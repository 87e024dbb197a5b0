"""Way round: a certificate that somebody trusts, but not from the issuer that was chosen.

Closed by: issuer verification against the roots that the policy names for this Connect
URL: ngrok's own, Let's Encrypt's, or the company's. The system's roots count for nothing.
"""

import pki
import pytest
from e2e import policies
from e2e.judges import shake_hands
from e2e.topology import EDGE

pytestmark = pytest.mark.root

LETSENCRYPT_FILE = "letsencrypt-like.pem"
LETSENCRYPT_ROOT = {"roots": [LETSENCRYPT_FILE]}
# The lab's authorities have the real ones' names and other keys, so under the real, built
# in roots they are the best impostors there are.
REFUSED = {
    "letsencrypt-expected-ngrok-shown": ("letsencrypt", pki.ngrok_like),
    "letsencrypt-expected-its-name-shown": ("letsencrypt", pki.letsencrypt_like),
    "ngrok-expected-letsencrypt-shown": ("ngrok", pki.letsencrypt_like),
    "ngrok-expected-its-name-shown": ("ngrok", pki.ngrok_like),
    "own-expected-letsencrypt-shown": (policies.OWN_ROOT, pki.letsencrypt_like),
    "own-expected-ngrok-shown": (LETSENCRYPT_ROOT, pki.ngrok_like),
}
ACCEPTED = {
    "own-ngrok-like": (policies.OWN_ROOT, pki.ngrok_like),
    "own-letsencrypt-like": (LETSENCRYPT_ROOT, pki.letsencrypt_like),
    "either-of-two": (
        {"roots": [policies.ROOT_FILE, LETSENCRYPT_FILE]},
        pki.letsencrypt_like,
    ),
}
# Odd, and good enough for the agent: the shape of ngrok's own leaves is not public.
SHAPES = {
    "no-key-identifiers": {"aki": False, "ski": False},
    "no-extended-key-usage": {"server_auth": None},
    "no-basic-constraints": {"ca": None},
    "bare": {"aki": False, "ski": False, "server_auth": None, "ca": None},
    "rsa-key": {"key": "rsa"},
    "p384-key": {"key": "p384"},
    "root-sent-along": {"with_root": True},
    "other-common-name": {"common_name": "edge-17"},
}


def host_of(case):
    return f"{case}.connect.example.com"


@pytest.fixture(scope="module")
def edge(lab):
    cases = REFUSED | ACCEPTED
    leaves = {host_of(case): issuer().leaf(host_of(case)) for case, (_, issuer) in cases.items()}
    for case, shape in SHAPES.items():
        leaves[host_of(case)] = pki.ngrok_like().leaf(host_of(case), **shape)
    return lab.start_edge({"*": pki.ngrok_like().leaf("connect.ngrok-agent.com"), **leaves})


@pytest.fixture(scope="module")
def gateway(lab, edge, authority):
    expected = {case: issuer for case, (issuer, _) in (REFUSED | ACCEPTED).items()}
    expected |= dict.fromkeys(SHAPES, policies.OWN_ROOT)
    urls = [policies.connect_url(host_of(case), issuer=issuer) for case, issuer in expected.items()]
    files = {
        policies.ROOT_FILE: authority.root_pem,
        LETSENCRYPT_FILE: pki.letsencrypt_like().root_pem,
    }
    return lab.start_gateway(policies.enforcing(connect_urls=urls), files=files)


@pytest.mark.parametrize("case", REFUSED)
def test_another_issuer_than_the_expected_is_refused(lab, gateway, edge, case):
    """Even where the agent trusts what is shown, which this one is told to."""
    _, issuer = REFUSED[case]
    trusting = issuer().root_pem
    host = host_of(case)
    result = lab.agent(f"{host}:443", trusting, address=EDGE.v4)
    assert result.error == "failed to connect session: tls handshake error"
    record = gateway.audited("--name", host, plane="tls", action="block")
    assert "(wrong_issuer)" in record["reason"]
    assert host not in {session.sni for session in edge.sessions()}


@pytest.mark.parametrize("case", ACCEPTED)
def test_expected_issuer_is_let_through(lab, gateway, edge, case):
    _, issuer = ACCEPTED[case]
    host = host_of(case)
    result = lab.agent(f"{host}:443", issuer().root_pem, address=EDGE.v4)
    assert result.connected, result.error
    assert edge.wait_for_bind(result.url).sni == host


@pytest.mark.parametrize("case", SHAPES)
def test_what_an_agent_accepts_the_gateway_accepts(lab, gateway, edge, authority, case):
    host = host_of(case)
    alone = lab.agent(f"{host}:443", authority.root_pem, address=EDGE.v4, outside=True)
    assert alone.connected, f"the agent itself refuses it: {alone.error}"
    handshake = shake_hands(lab.client, EDGE.v4, host)
    assert handshake.certificate, gateway.audit("--name", host)
    assert gateway.audited("--name", host, plane="tls")["action"] == "allow"
