"""What compile makes of a policy, and which rules it refuses."""

import dataclasses

import pytest

from enforcer.policy.compile import compile_policy, connect_url_rule
from enforcer.policy.load import load_policy
from enforcer.policy.model import Action, Match, Plane, PortRange, Protocol, Request
from enforcer.policy.source import PolicyError

POLICY = """\
version: 1
default: allow
connect_urls:
  - host: connect.example.com
    issuer: ngrok
    region_hosts: [tunnel.us.connect.example.com, connect.example.com]
  - host: connect.example.com
    port: 8443
    issuer: letsencrypt
    addresses: [203.0.113.0/29]
rules:
  - id: many
    action: block
    match:
      names: [a.example, a.example]
      suffixes: [b.example]
      patterns: ['*.c.example', 'd.*']
  - id: nameless
    action: block
    match: {ports: [25]}
"""


@pytest.fixture
def compiled(write_policy):
    return compile_policy(load_policy(write_policy(POLICY)))


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("a.example", ["many", "nameless"]),
        ("x.a.example", ["nameless"]),
        ("b.example", ["many", "nameless"]),
        ("x.y.b.example", ["many", "nameless"]),
        ("xb.example", ["nameless"]),
        ("x.c.example", ["many", "nameless"]),
        ("c.example", ["nameless"]),
        ("d.anything", ["many", "nameless"]),
        ("", ["nameless"]),
    ],
)
def test_candidates_are_the_rules_whose_names_fit(compiled, name, rules):
    found = compiled.candidates(Request(Plane.TLS, name, port=25))
    assert [candidate.rule.id for candidate in found] == rules


def test_a_connect_url_is_a_rule_for_its_hosts_and_port(compiled):
    rule = connect_url_rule(compiled.policy.connect_urls[0])
    assert (rule.id, rule.action) == ("connect-url:connect.example.com:443", Action.ALLOW)
    assert rule.match == Match(
        names=(
            "connect.example.com",
            "tunnel.us.connect.example.com",
            "connect.example.com",
        ),
        ports=(PortRange(443, 443),),
    )
    assert rule.source.line == 4


def test_a_connect_url_is_found_by_host_and_port(compiled):
    assert compiled.connect_url("connect.example.com", 8443).port == 8443
    assert compiled.connect_url("tunnel.us.connect.example.com", 443).port == 443
    assert compiled.connect_url("tunnel.us.connect.example.com", 8443) is None
    assert compiled.connect_url("connect.example.com", None).port == 443
    assert compiled.connect_url("other.example", 443) is None


def test_a_request_belongs_to_a_connect_url_by_host_and_port(compiled):
    def belongs(name, port):
        rule = compiled.connect_url_rule(Request(Plane.TLS, name, port=port))
        return rule and rule.connect_url.port

    assert belongs("connect.example.com", 8443) == 8443
    assert belongs("connect.example.com", None) == 443
    assert belongs("connect.example.com", 22) is None
    assert belongs("x.connect.example.com", 443) is None


def test_ssh_to_each_host_is_one_rule(compiled):
    found = compiled.candidates(Request(Plane.TLS, "connect.example.com"))
    rules = [candidate.rule for candidate in found if candidate.rule.from_pack]
    assert [rule.id for rule in rules] == ["connect-url:connect.example.com:443:ssh"]
    assert rules[0].match.protocols == (Protocol.SSH,)


def test_the_hint_names_every_connect_url(compiled):
    assert compiled.hint == "connect.example.com:443 or connect.example.com:8443"


def test_a_compiled_policy_cannot_be_changed(compiled):
    with pytest.raises(dataclasses.FrozenInstanceError):
        compiled.hint = "another"


def test_everything_that_is_wrong_is_told_at_once(write_policy):
    empty = "  - {id: many, action: allow, match: {}}\n"
    tied = "  - {id: x, action: block, match: {ports: [25]}}\n"
    with pytest.raises(PolicyError) as caught:
        compile_policy(load_policy(write_policy(POLICY + empty + tied)))
    assert [(p.key, p.source.line) for p in caught.value.problems] == [
        ("many", 21),
        ("many", 21),
        ("x", 22),
    ]
