"""Aliases of the policy's, as dnspython reads them."""

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.packets.response import Ede, build_ede
from enforcer.dns.packets.wire import Query, parse_query
from enforcer.dns.rewrite import build_rewritten, rewrite_target, target_query
from enforcer.policy.names import to_wire

TARGET = to_wire("portal.example.net")
EDE = build_ede(Ede.BLOCKED, "why")


def query(name="Www.example", qtype="A", **options):
    return parse_query(dns.message.make_query(name, qtype, id=7, **options).to_wire())


def reply(*lines, rcode=0, qtype="A"):
    asked = dns.message.make_query("portal.example.net", qtype, use_edns=0)
    message = dns.message.make_response(asked, recursion_available=True)
    message.set_rcode(rcode)
    for line in lines:
        message.answer.append(dns.rrset.from_text(*line.split(maxsplit=4)))
    return message.to_wire(max_size=65535)


def rewritten(wire, asked=None):
    return dns.message.from_wire(build_rewritten(asked or query(use_edns=0), TARGET, wire, EDE))


@pytest.mark.parametrize(
    ("name", "cname", "target"),
    [
        ("www.example", "portal.example.net", "portal.example.net"),
        ("WWW.example", "*.garden.test", "www.example.garden.test"),
        (".", "*.garden.test", "garden.test"),
    ],
)
def test_target_is_the_one_named_or_the_name_below_it(name, cname, target):
    assert rewrite_target(query(name), cname) == to_wire(target)


def test_target_that_is_too_long_is_none():
    asked = query(".".join(["a" * 60] * 4))
    assert rewrite_target(asked, "*.garden.test") is None
    assert rewrite_target(asked, "garden.test") == to_wire("garden.test")


def test_upstream_is_asked_for_the_target_in_the_place_of_the_name():
    asked = query(qtype="AAAA", want_dnssec=True)
    assert target_query(asked, TARGET) == asked._replace(
        name=TARGET, question=TARGET + b"\0\x1c\0\1"
    )


def test_the_client_sees_the_alias_and_what_is_behind_it():
    message = rewritten(
        reply("portal.example.net. 60 IN CNAME p.example.", "p.example. 60 IN A 192.0.2.1")
    )
    assert [rrset.to_text() for rrset in message.answer] == [
        "Www.example. 5 IN CNAME portal.example.net.",
        "portal.example.net. 60 IN CNAME p.example.",
        "p.example. 60 IN A 192.0.2.1",
    ]
    assert (message.id, message.rcode(), message.edns) == (7, dns.rcode.NOERROR, 0)
    assert message.question[0].to_text() == "Www.example. IN A"
    assert message.extended_errors()[0].text == "why"
    assert not message.flags & (dns.flags.AA | dns.flags.AD)


def test_who_sent_no_opt_gets_none():
    assert rewritten(reply(), query()).edns == -1


def test_a_target_that_is_not_there_is_an_alias_to_nothing():
    message = rewritten(reply(rcode=dns.rcode.NXDOMAIN))
    assert message.rcode() == dns.rcode.NXDOMAIN
    assert len(message.answer) == 1


@pytest.mark.parametrize(
    "wire", [None, b"", b"\0" * 11, reply()[:20], reply()[:6] + b"\0\5" + reply()[8:]]
)
def test_a_target_that_nobody_answers_for_is_a_failure_behind_the_alias(wire):
    message = rewritten(wire)
    assert message.rcode() == dns.rcode.SERVFAIL
    assert len(message.answer) == 1


def test_an_answer_that_leaves_no_room_for_the_alias_is_a_failure():
    strings = " ".join(['"' + "x" * 250 + '"'] * 258)
    message = rewritten(reply(f"portal.example.net. 60 IN TXT {strings}", qtype="TXT"))
    assert message.rcode() == dns.rcode.SERVFAIL
    assert len(message.answer) == 1


@given(
    labels=st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4),
    wire=st.one_of(st.none(), st.binary(max_size=60), st.just(reply("a.b. 1 IN A 192.0.2.1"))),
)
def test_whatever_bytes_are_in_the_name_and_the_reply(labels, wire):
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    asked = Query(7, 0x0100, name.lower(), 1, name + b"\0\1\0\1", None)
    target = rewrite_target(asked, "*.garden.test")
    message = dns.message.from_wire(build_rewritten(asked, target, wire, b""))
    assert message.question[0].name == dns.name.from_wire(name, 0)[0]
    assert message.answer[0][0].target == dns.name.from_wire(target, 0)[0]
