"""The shape of a policy file: what each key takes, and what an editor is told of it."""

from ipaddress import ip_address, ip_network

import pytest
from pydantic import ValidationError

from enforcer.policy.document import (
    ConnectUrlDocument,
    MatchDocument,
    PackDocument,
    PolicyDocument,
    RuleAction,
    RuleDocument,
    render_pack_schema,
    render_policy_schema,
)
from enforcer.policy.model import Mode, OnFailure, PortRange, Protocol


def test_a_match_takes_every_spelling_and_keeps_one():
    match = MatchDocument(
        names=("Connect.Example.COM.",),
        suffixes=(".example.org", "example.net"),
        patterns=("**.Example.com",),
        addresses=("::ffff:192.0.2.1", "10.0.0.0/8"),
        ports=(443, "8000-8100", "22"),
        clients=("2001:db8::/32",),
        protocols=("ssh",),
    )
    assert match.names == ("connect.example.com",)
    assert match.suffixes == ("example.org", "example.net")
    assert match.patterns == ("*.example.com",)
    assert match.addresses == (ip_network("192.0.2.1/32"), ip_network("10.0.0.0/8"))
    assert match.ports == (PortRange(443, 443), PortRange(8000, 8100), PortRange(22, 22))
    assert match.clients == (ip_network("2001:db8::/32"),)
    assert match.protocols == (Protocol.SSH,)


def test_what_may_be_left_out_has_a_safe_default():
    policy = PolicyDocument(version=1, default="allow")
    assert policy.mode is Mode.ENFORCE
    assert policy.on_failure.dns is policy.on_failure.tls is OnFailure.CLOSED
    assert (policy.include, policy.connect_urls, policy.rules) == ((), (), ())
    url = ConnectUrlDocument(host="connect.example.com", issuer="ngrok")
    assert (url.port, url.region_hosts, url.addresses) == (443, (), ())


@pytest.mark.parametrize("port", [True, 0, 65536, -1, 1.0, "443 ", "443-444", "x", None, [443]])
def test_a_port_of_a_connect_url_is_one_number(port):
    with pytest.raises(ValidationError):
        ConnectUrlDocument(host="connect.example.com", issuer="ngrok", port=port)


@pytest.mark.parametrize("version", [True, 1.0, "1", 2, None])
def test_the_version_is_the_number_one(version):
    with pytest.raises(ValidationError):
        PackDocument(version=version)


def test_a_sinkhole_has_addresses():
    rule = RuleDocument(
        id="r", action="block", match={"names": ["a.example"]}, refusal={"sinkhole": ["192.0.2.1"]}
    )
    assert rule.action is RuleAction.BLOCK
    assert rule.refusal.sinkhole == (ip_address("192.0.2.1"),)


def test_a_reason_is_one_line():
    """It goes into headers and DNS answers."""
    rule = RuleDocument(id="r", action="block", match={}, reason="first\r\n  second\n")
    assert rule.reason == "first second"


@pytest.mark.parametrize("render", [render_policy_schema, render_pack_schema])
def test_the_schema_describes_what_a_person_writes(render):
    schema = render()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert "version" in schema["required"]
    match = schema["$defs"]["MatchDocument"]["properties"]
    assert match["names"]["items"] == {"type": "string"}
    assert match["addresses"]["items"] == {"type": "string"}
    assert {"integer", "string"} == {each["type"] for each in match["ports"]["items"]["anyOf"]}
    assert all("description" in part for part in match.values())


def test_the_schema_names_every_key_and_what_must_be_there():
    schema = render_policy_schema()
    assert set(schema["properties"]) == set(PolicyDocument.model_fields)
    assert set(schema["required"]) == {"version", "default"}
    assert set(schema["$defs"]["Action"]["enum"]) == {"allow", "block", "monitor"}
    port = schema["$defs"]["ConnectUrlDocument"]["properties"]["port"]
    assert (port["minimum"], port["maximum"]) == (1, 65535)
