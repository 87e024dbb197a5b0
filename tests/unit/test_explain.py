"""The verdict on a request that is put together from words."""

import pki
import pytest

from enforcer import cli
from enforcer.explain import ROADS, explain
from enforcer.policy.admit import admit_policy

CONNECT_URL = "connect.example.com"
DEFAULT_NAME = "connect.ngrok-agent.com"


@pytest.fixture(scope="module")
def policy():
    return admit_policy()


@pytest.mark.parametrize("via", ["dns", "tls", "connect", "ssh"])
def test_a_default_name_is_blocked_on_every_road(policy, via):
    answer = explain(policy, DEFAULT_NAME, via=via).as_dict()

    assert answer["action"] == "block"
    assert answer["rule"] == "ngrok-connect"
    assert answer["file"].endswith("packs/ngrok.yaml")
    assert answer["line"] > 1


def test_the_roads_are_those_of_the_command_line():
    assert list(ROADS) == list(cli.Via)


@pytest.mark.parametrize(
    ("words", "road"),
    [
        ({}, ("dns", None)),
        ({"port": 8443}, ("connect", 8443)),
        ({"via": "tls"}, ("tls", 443)),
        ({"via": "connect"}, ("connect", 443)),
        ({"via": "http"}, ("http", 80)),
        ({"via": "ssh"}, ("ssh", 22)),
        ({"via": "ssh", "port": 443}, ("ssh", 443)),
    ],
)
def test_a_road_has_its_usual_port(policy, words, road):
    answer = explain(policy, "a.example", **words).as_dict()

    assert (answer["via"], answer["port"]) == road


@pytest.mark.parametrize("via", ["tls", "connect"])
def test_a_connect_url_must_be_verified_before_anything_passes(policy, via):
    explanation = explain(policy, CONNECT_URL, via=via)

    assert explanation.as_dict()["verify"] == "connect.example.com:443"
    then = dict(explanation.as_lines())["then"]
    assert "must be issued by ngrok" in then
    assert "enforcer verify connect.example.com:443" in then


def test_nothing_is_verified_for_a_dns_question(policy):
    assert explain(policy, CONNECT_URL).as_dict()["verify"] is None


def test_a_dns_answer_says_how_it_puts_its_no(policy):
    assert dict(explain(policy, DEFAULT_NAME).as_lines())["answer"] == "NXDOMAIN"
    assert explain(policy, DEFAULT_NAME, via="tls").answer is None
    assert explain(policy, "a.example").answer is None


def test_an_address_takes_the_place_of_a_name(policy):
    explanation = explain(policy, "192.0.2.1")

    assert explanation.via == "connect"
    assert (explanation.request.name, str(explanation.request.address)) == ("", "192.0.2.1")
    for written in ("2001:db8::1", "[2001:db8::1]"):
        assert str(explain(policy, written).request.address) == "2001:db8::1"
    request = explain(policy, "a.example", address="[::1]", client="[::2]", via="tls").request
    assert (str(request.address), str(request.client)) == ("::1", "::2")


@pytest.mark.parametrize("via", ["connect", "http"])
def test_the_gateways_own_addresses_are_refused_as_the_proxy_does(policy, via):
    def rule(name, **words):
        return explain(policy, name, via=via, **words).as_dict()["rule"]

    assert rule("127.0.0.1", client="10.0.0.1") == "gateway-address"
    assert rule("127.0.0.1") == "gateway-address"
    assert rule("a.example", address="169.254.169.254") == "gateway-address"
    assert rule(DEFAULT_NAME, address="127.0.0.1") == "ngrok-connect"
    assert rule("127.0.0.1", client="127.0.0.1") == "default"


def test_only_the_proxy_keeps_clients_off_the_gateway(policy):
    assert explain(policy, "127.0.0.1", via="tls").verdict.rule == "default"


def test_all_words_become_facts(policy):
    request = explain(
        policy, "A.Example.", port=8443, address="192.0.2.1", client="10.0.0.1", via="tls"
    ).request

    assert request.name == "a.example"
    assert str(request.address) == "192.0.2.1"
    assert str(request.client) == "10.0.0.1"
    assert request.port == 8443


@pytest.mark.parametrize(
    ("name", "words", "remedy"),
    [
        ("a.example", {"address": "x"}, "--address 'x' is not an address; write one such"),
        ("a.example", {"client": "10.0.0.0/8"}, "--client '10.0.0.0/8' is not an address"),
        ("192.0.2.1", {"address": "192.0.2.2"}, "leave out --address"),
        ("a.example", {"via": "dns", "port": 53}, "name another road"),
        ("192.0.2.1", {"via": "dns"}, "name another road"),
        ("a.example:443", {}, "--port N"),
        ("https://a.example", {}, "write the host"),
        ("a..example", {}, "one dot between labels"),
        ("", {}, "write a host name"),
        ("[::1]:443", {}, "--port N"),
        ("a" * 100_000, {}, "^a name of 100000 characters is too long; a name has at most 253"),
        ("a b", {}, "use letters"),
    ],
)
def test_words_that_mean_nothing_are_refused_with_a_remedy(policy, name, words, remedy):
    with pytest.raises(ValueError, match=remedy):
        explain(policy, name, **words)


def test_a_program_is_told_what_was_asked(policy):
    answer = explain(policy, "A.Example.", client="10.0.0.1").as_dict()

    assert (answer["name"], answer["address"], answer["client"]) == ("a.example", None, "10.0.0.1")


def test_what_is_shown_is_escaped(policy):
    explanation = explain(policy, "a.example")._replace(asked="\x1b[2J\n")

    assert explanation.as_lines()[0][1].startswith("\\x1b[2J\\n via dns")


def test_own_roots_are_called_your_own_ca(policy_from):
    policy = policy_from(
        """
        version: 1
        default: allow
        connect_urls:
          - host: connect.example.com
            issuer: {roots: [own.pem]}
        """,
        **{"own.pem": pki.ngrok_like().root_pem.decode()},
    )

    then = dict(explain(policy, CONNECT_URL, via="tls").as_lines())["then"]
    assert "must be issued by your own CA" in then


RULES = """\
version: 1
default: allow
include: [packs/ngrok.yaml]
rules:
  - id: type
    action: block
    match: {names: [a.example], qtypes: [HTTPS]}
    refusal: {records: [HTTPS 1 ., TXT x]}
  - id: evening
    action: block
    match: {names: [b.example], when: {from: '20:00', to: '22:00', timezone: UTC}}
    refusal: {cname: stop.example}
  - id: ns
    action: block
    match: {nsdnames: [ngrok-dns.example]}
    refusal: {sinkhole: [192.0.2.1]}
  - id: nsip
    action: passthru
    match: {nsips: [192.0.2.0/24], names: [d.example]}
"""


@pytest.mark.parametrize(
    ("name", "words", "rule", "answer"),
    [
        ("a.example", {"qtype": "https"}, "type", "local_data HTTPS TXT"),
        ("a.example", {"qtype": "A"}, "default", None),
        ("b.example", {"at": "2026-11-24T21:00:00Z"}, "evening", "cname stop.example"),
        ("b.example", {"at": "2026-11-24T21:00:00"}, "evening", "cname stop.example"),
        ("b.example", {"at": "2026-11-24T21:30:00+02:00"}, "default", None),
        ("b.example", {"now_s": 1_795_521_600.0 + 9 * 3600}, "evening", "cname stop.example"),
        ("c.example", {"name_servers": ["ns1.ngrok-dns.example"]}, "ns", "sinkhole 192.0.2.1"),
        ("c.example", {"name_servers": ["192.0.2.7"]}, "default", None),
        ("d.example", {"name_servers": ["192.0.2.7"]}, "nsip", None),
    ],
)
def test_what_a_lookup_has_may_be_said(policy_from, name, words, rule, answer):
    explanation = explain(policy_from(RULES), name, **words)

    assert explanation.as_dict()["rule"] == rule
    assert explanation.answer == answer


def test_a_passthru_says_what_it_spares(policy_from):
    lines = explain(policy_from(RULES), "d.example", name_servers=["192.0.2.7"]).as_lines()

    assert dict(lines)["then"] == "what this name leads to is not judged"


@pytest.mark.parametrize(
    "match",
    ["addresses: [192.0.2.7]", "ports: [443]", "nsdnames: [ns.example]", "nsips: [192.0.2.7]"],
)
def test_a_passthru_that_waits_for_a_fact_spares_nothing(policy_from, match):
    rule = f"{{id: waits, action: passthru, match: {{{match}}}}}"
    policy = policy_from(f"version: 1\ndefault: allow\nrules: [{rule}]\n")

    lines = dict(explain(policy, "www.example").as_lines())

    assert (lines["rule"], "then" in lines) == ("waits", False)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"qtype": "HTPS"}, "write one such as AAAA, or TYPE65"),
        ({"qtype": "A", "via": "tls"}, "only a lookup has a query type"),
        ({"name_servers": ["ns.example"], "port": 443}, "only a lookup has a name server"),
        ({"at": "noon"}, "write one such as 2026-11-24T12:00:00Z"),
        ({"name_servers": ["ns example"]}, "has a character that no host name has"),
    ],
)
def test_what_no_lookup_has_is_refused_with_a_remedy(policy, words, why):
    with pytest.raises(ValueError, match=why):
        explain(policy, "a.example", **words)
