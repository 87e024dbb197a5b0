"""The packs that ship: the default ingress closed, what agents need left open, roads round."""

import re
from ipaddress import ip_address

import pytest

from enforcer.policy.admit import admit_policy
from enforcer.policy.decide import decide
from enforcer.policy.lint import DEFAULT_INGRESS
from enforcer.policy.load import builtin_packs, builtin_policies
from enforcer.policy.model import Action, Plane, Protocol, Refusal, Request

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


@pytest.fixture
def every_pack(policy_from):
    include = ", ".join(builtin_packs())
    return policy_from(
        f"version: 1\ndefault: allow\ninclude: [{include}]\n"
        "connect_urls: [{host: connect.example.com, issuer: ngrok}]\n"
    )


def test_the_packs_go_together_and_warn_of_nothing(every_pack):
    assert set(builtin_packs()) == {
        "packs/dns-bypass.yaml",
        "packs/ngrok.yaml",
        "packs/rebinding.yaml",
        "packs/tunnels.yaml",
    }
    assert every_pack.warnings == ()


def test_the_policy_that_ships_includes_no_tunnel_pack(policy):
    assert not any(file.endswith("tunnels.yaml") for file in policy.policy.files)
    assert not decide(policy, Request(Plane.DNS, "region1.v2.argotunnel.com")).blocks


@pytest.mark.parametrize(
    "name",
    [
        "dns.google",
        "dns64.dns.google",
        "dns.google.com",
        "cloudflare-dns.com",
        "mozilla.cloudflare-dns.com",
        "1dot1dot1dot1.cloudflare-dns.com",
        "one.one.one.one",
        "dns.quad9.net",
        "doh.opendns.com",
        "doh.cleanbrowsing.org",
        "abc123.dns.nextdns.io",
        "adblock.dns.mullvad.net",
        "mask.icloud.com",
        "mask-h2.icloud.com",
        "dns.ngrok.com.s3.amazonaws.com",
        "dns.ngrok.com.s3.us-east-1.amazonaws.com",
        "dns.ngrok.com.s3-us-west-2.amazonaws.com",
        "dns.ngrok.com.s3.dualstack.eu-central-1.amazonaws.com",
    ],
)
def test_roads_round_the_dns_are_closed_by_name_on_every_plane(every_pack, name):
    for request in (
        Request(Plane.DNS, name),
        Request(Plane.TLS, name, port=443, protocol=Protocol.TLS),
        Request(Plane.CONNECT, name, port=443),
    ):
        verdict = decide(every_pack, request)
        assert verdict.blocks, request
        assert verdict.rule.startswith("dns-bypass-")


def test_canaries_are_answered_as_those_who_ask_expect(every_pack):
    firefox = decide(every_pack, Request(Plane.DNS, "use-application-dns.net"))
    discovery = decide(every_pack, Request(Plane.DNS, "_dns.resolver.arpa"))

    assert (firefox.action, firefox.refusal) == (Action.BLOCK, Refusal.NXDOMAIN)
    assert (discovery.action, discovery.refusal) == (Action.BLOCK, Refusal.NODATA)
    assert not decide(every_pack, Request(Plane.TLS, "use-application-dns.net", port=443)).blocks


@pytest.mark.parametrize("port", [443, 853])
@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "9.9.9.9"])
def test_a_resolver_without_a_name_is_refused_by_its_address(every_pack, address, port):
    request = Request(Plane.TLS, address=ip_address(address), port=port, protocol=Protocol.TLS)

    assert decide(every_pack, request).rule == "dns-bypass-addresses"
    assert not decide(every_pack, request._replace(port=8443)).blocks


@pytest.mark.parametrize(
    "name",
    [
        "s3.amazonaws.com",
        "other.s3.amazonaws.com",
        "www.quad9.net",
        "www.icloud.com",
        "acme.cloudflare-gateway.com",
        "api.cloudflare.com",
        "visualstudio.com",
        "tailscale.com",
    ],
)
def test_what_others_share_is_left_alone(every_pack, name):
    assert not decide(every_pack, Request(Plane.DNS, name)).blocks
    assert not decide(every_pack, Request(Plane.TLS, name, port=443)).blocks


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("region1.v2.argotunnel.com", "tunnels-cloudflared"),
        ("h2.cftunnel.com", "tunnels-cloudflared"),
        ("global.rel.tunnels.api.visualstudio.com", "tunnels-microsoft"),
        ("abc-8000.euw.devtunnels.ms", "tunnels-microsoft"),
        ("derp1f.tailscale.com", "tunnels-tailscale"),
        ("serveo.net", "tunnels-ssh"),
        ("bore.pub", "tunnels-bore"),
    ],
)
def test_other_tunnel_services_are_closed_where_their_pack_is_included(every_pack, name, rule):
    verdict = decide(every_pack, Request(Plane.DNS, name))

    assert (verdict.action, verdict.rule) == (Action.BLOCK, rule)


def test_what_is_known_by_reputation_alone_is_recorded_and_let_through(every_pack):
    verdict = decide(every_pack, Request(Plane.DNS, "x.lhr.life"))

    assert (verdict.action, verdict.rule) == (Action.MONITOR, "tunnels-by-reputation")


def test_each_rule_about_a_tunnel_service_says_its_source_and_how_sure_it_is():
    text = (builtin_policies() / "packs/tunnels.yaml").read_text()
    comments = re.findall(r"((?:^  #[^\n]*\n)*)^  - id: (\S+)", text, re.MULTILINE)

    assert len(comments) == text.count("- id:")
    unsourced = [rule for comment, rule in comments if "Source:" not in comment]
    unsure = [rule for comment, rule in comments if "Confidence:" not in comment]
    assert (unsourced, unsure) == ([], [])


@pytest.fixture(scope="module")
def rebinding(tmp_path_factory):
    path = tmp_path_factory.mktemp("rebinding") / "policy.yaml"
    path.write_text(
        "version: 1\ndefault: allow\ninclude: [packs/ngrok.yaml, packs/rebinding.yaml]\nrules:\n"
        "  - {id: ours, action: allow, match: {suffixes: [corp.example], planes: [dns]}}\n",
        encoding="utf-8",
    )
    return admit_policy(path)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255"),
        *("192.168.1.1", "::", "::1", "fd00::1", "fe80::1", "fec0::1", "64:ff9b:1::1"),
    ],
)
def test_an_answer_does_not_lead_inside(rebinding, address):
    request = Request(Plane.DNS, "a.example", address=ip_address(address))
    assert decide(rebinding, request).rule == "rebinding"
    assert decide(rebinding, request._replace(name="x.corp.example")).rule == "ours"
    assert decide(rebinding, request._replace(plane=Plane.TLS)).rule == "default"


@pytest.mark.parametrize("address", ["172.32.0.1", "192.0.2.1", "100.128.0.1", "2001:db8::1"])
def test_an_answer_may_lead_outside(rebinding, address):
    request = Request(Plane.DNS, "a.example", address=ip_address(address))
    assert decide(rebinding, request).rule == "default"
