"""packs/ngrok.yaml: the whole default ingress closed, and what agents need left open."""

import pytest

from enforcer.policy.admit import admit_policy
from enforcer.policy.decide import decide
from enforcer.policy.lint import DEFAULT_INGRESS
from enforcer.policy.model import Plane, Protocol, Request

LEGACY = (
    "korgn.su.lennut.com",
    "korgn.ue.lennut.com",
    "korgn.pa.lennut.com",
    "korgn.lennut.com",
    "ngrok.us.tunnel.com",
    "ngrokd.ngrok.com",
)
FUTURE = (
    "connect.us-east-9.ngrok-agent.com",
    "tunnel.us-east-9.ngrok.com",
    "connect.us-ngrok-agent.com",
    "connect.dev-ngrok-agent.com",
    "x.connect.ngrok-agent.com",
)
OPEN = {
    "crl.ngrok-agent.com": 80,
    "crl.ngrok.com": 80,
    "update.ngrok-agent.com": 443,
    "update.equinox.io": 443,
    "bin.equinox.io": 443,
    "dl.equinox.io": 443,
    "api.ngrok.com": 443,
    "dashboard.ngrok.com": 443,
    "download.ngrok.com": 443,
    "ngrok.com": 443,
}


@pytest.fixture(scope="module")
def policy():
    return admit_policy()


@pytest.fixture
def strict(policy_from):
    """Everything closed that no rule opens."""
    return policy_from(
        "version: 1\ndefault: block\ninclude: [packs/ngrok.yaml]\n"
        "connect_urls: [{host: connect.example.com, issuer: ngrok}]\n"
    )


@pytest.mark.parametrize("name", [*DEFAULT_INGRESS, *LEGACY, *FUTURE])
def test_the_default_ingress_is_closed_on_every_plane(policy, name):
    for request in (
        Request(Plane.DNS, name),
        Request(Plane.TLS, name, port=443, protocol=Protocol.TLS),
        Request(Plane.CONNECT, name, port=443),
        Request(Plane.SOCKS5, name, port=22),
        Request(Plane.HTTP, name, port=80, protocol=Protocol.HTTP),
        Request(Plane.CONNECT, name, port=22, protocol=Protocol.SSH),
    ):
        verdict = decide(policy, request)
        assert verdict.blocks, request
        assert verdict.rule.startswith("ngrok-")
        assert verdict.source.file.endswith("packs/ngrok.yaml")


@pytest.mark.parametrize(("name", "port"), OPEN.items())
def test_what_agents_need_is_open_even_when_all_else_is_closed(strict, name, port):
    protocol = Protocol.HTTP if port == 80 else Protocol.TLS
    plane = Plane.HTTP if port == 80 else Plane.TLS
    for request in (
        Request(Plane.DNS, name),
        Request(Plane.CONNECT, name, port=port),
        Request(plane, name, port=port, protocol=protocol),
    ):
        assert not decide(strict, request).blocks, request
    assert decide(strict, Request(Plane.CONNECT, name, port=22)).blocks


def test_ssh_on_the_tls_port_is_closed_and_elsewhere_is_not(policy):
    request = Request(Plane.TLS, port=443, protocol=Protocol.SSH)
    assert decide(policy, request).rule == "ngrok-ssh-on-443"
    assert not decide(policy, request._replace(port=22)).blocks


@pytest.mark.parametrize(
    "name",
    ["ngrok-agent.com", "www.ngrok.com", "kubernetes-binding-ingress.ngrok.io", "lennut.com"],
)
def test_what_is_no_ingress_is_left_to_the_default(policy, name):
    assert decide(policy, Request(Plane.DNS, name)).rule == "default"
