"""Answers as dnspython reads them, which knows nothing of how they were built."""

from ipaddress import ip_address

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from enforcer.dns.packets.response import (
    BLOCKED_TTL_S,
    MAX_TEXT_BYTES,
    Ede,
    add_opt,
    build_blocked,
    build_ede,
    build_failure,
    build_local,
    build_refused,
    build_truncated,
    fit_udp,
)
from enforcer.dns.packets.wire import parse_query
from enforcer.dns.special_use import answer_special
from enforcer.dns.uncached import Uncached
from enforcer.policy.model import Action, LocalRecord, Mode, Refusal, Source, Verdict

NAME = "Connect.ngrok-agent.com"
SINKHOLE = (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
# The others are no answers in full: they drop, truncate or lead elsewhere.
IN_FULL = [
    Refusal.NXDOMAIN,
    Refusal.NODATA,
    Refusal.REFUSED,
    Refusal.SINKHOLE,
    Refusal.LOCAL_DATA,
]


def query(name=NAME, qtype="A", **options):
    return parse_query(dns.message.make_query(name, qtype, id=7, **options).to_wire())


def verdict(refusal, **more):
    return Verdict(Action.BLOCK, "r", "why", Source("p", 1), Mode.ENFORCE, refusal, **more)


def blocked(refusal, *, qtype="A", name=NAME, text="because", records=(), **options):
    judged = verdict(refusal, sinkhole=SINKHOLE, records=records)
    built = build_blocked(query(name, qtype, **options), judged, text)
    message = dns.message.from_wire(built)
    assert message.id == 7
    assert message.flags & dns.flags.QR
    assert message.flags & dns.flags.RA
    assert message.question[0].to_text() == f"{name.removesuffix('.')}. IN {qtype}"
    return message


@pytest.mark.parametrize(
    ("refusal", "rcode"),
    [(Refusal.NXDOMAIN, dns.rcode.NXDOMAIN), (Refusal.NODATA, dns.rcode.NOERROR)],
)
def test_negative_answers_have_a_soa_to_be_cached_by(refusal, rcode):
    message = blocked(refusal)
    assert message.rcode() == rcode
    assert message.answer == []
    (soa,) = message.authority
    assert soa.name.to_text() == "ngrok-agent.com."
    assert (soa.ttl, soa[0].minimum) == (BLOCKED_TTL_S, BLOCKED_TTL_S)
    assert soa[0].mname.to_text() == "enforcer.invalid."


@pytest.mark.parametrize(("name", "owner"), [("com.", "."), (".", ".")])
def test_soa_of_a_short_name_is_the_root(name, owner):
    packet = dns.message.make_query(name, "A").to_wire()
    built = build_blocked(parse_query(packet), verdict(Refusal.NXDOMAIN), "")
    assert dns.message.from_wire(built).authority[0].name.to_text() == owner


def test_refused_says_nothing_more():
    message = blocked(Refusal.REFUSED)
    assert message.rcode() == dns.rcode.REFUSED
    assert message.authority == []


@pytest.mark.parametrize(("qtype", "address"), [("A", SINKHOLE[0]), ("AAAA", SINKHOLE[1])])
def test_sinkhole_answers_with_its_address_of_that_family(qtype, address):
    message = blocked(Refusal.SINKHOLE, qtype=qtype)
    (answer,) = message.answer
    assert answer.to_text() == f"{NAME}. {BLOCKED_TTL_S} IN {qtype} {address}"


def test_sinkhole_has_no_other_data():
    message = blocked(Refusal.SINKHOLE, qtype="HTTPS")
    assert message.rcode() == dns.rcode.NOERROR
    assert message.answer == []
    assert message.authority


@pytest.mark.parametrize("refusal", IN_FULL)
def test_reason_is_told_in_an_extended_error(refusal):
    text = "blocked by rule x: because; use connect.example.com:443"
    message = blocked(refusal, text=text, use_edns=0)
    (error,) = message.extended_errors()
    assert error.code == Ede.BLOCKED
    assert error.text == text


def test_no_opt_without_opt():
    assert blocked(Refusal.NXDOMAIN).edns == -1


def test_do_comes_back():
    assert blocked(Refusal.NXDOMAIN, use_edns=0, want_dnssec=True).ednsflags == dns.flags.DO


def test_long_text_is_cut_between_characters():
    message = blocked(Refusal.NXDOMAIN, use_edns=0, text="é" * MAX_TEXT_BYTES)
    (error,) = message.extended_errors()
    assert error.text == "é" * (MAX_TEXT_BYTES // 2)


def test_failure_is_servfail_with_its_reason():
    built = build_failure(query(use_edns=0), Ede.NO_REACHABLE_AUTHORITY, "no upstream answers")
    message = dns.message.from_wire(built)
    assert message.rcode() == dns.rcode.SERVFAIL
    assert message.extended_errors()[0].text == "no upstream answers"


def reply(size_bytes=0, **options):
    asked = dns.message.make_query(NAME, "TXT", id=1, **options)
    message = dns.message.make_response(asked, recursion_available=True)
    if size_bytes:
        strings = " ".join('"' + "x" * 100 + '"' for _ in range(size_bytes // 100))
        message.answer.append(dns.rrset.from_text(f"{NAME}.", 60, "IN", "TXT", strings))
    return message.to_wire()


def passed(asked, wire):
    return add_opt(asked, Uncached(wire).render_for(asked, 0.0))


def test_reply_passes_under_the_clients_id():
    wire = reply(200)
    assert passed(query(qtype="TXT"), wire) == b"\0\7" + wire[2:]


def test_opt_of_an_upstream_speaks_for_us():
    message = dns.message.from_wire(passed(query(qtype="TXT", use_edns=0), reply(use_edns=0)))
    assert message.payload == 1232


def test_opt_is_added_where_the_upstream_sent_none():
    message = dns.message.from_wire(passed(query(qtype="TXT", use_edns=0), reply(200)))
    assert message.edns == 0
    assert len(message.answer) == 1


@pytest.mark.parametrize(
    ("payload", "size_bytes", "fits"),
    [(0, 400, True), (0, 600, False), (1232, 1000, True), (4096, 1300, False), (100, 400, True)],
)
def test_answer_larger_than_the_client_takes_is_truncated(payload, size_bytes, fits):
    options = {"use_edns": 0, "payload": payload} if payload else {}
    asked = query(qtype="TXT", **options)
    message = dns.message.from_wire(fit_udp(asked, passed(asked, reply(size_bytes, **options))))
    assert bool(message.flags & dns.flags.TC) is not fits
    assert bool(message.answer) is fits
    assert message.edns == (0 if payload else -1)
    assert message.id == 7


def test_reply_that_has_no_room_for_opt_passes_without_one():
    wire = reply(200)
    full = wire + b"\0" * (0xFFFF - len(wire))
    assert add_opt(query(qtype="TXT", use_edns=0), full) == full


def test_opt_has_the_options_given():
    asked = query(qtype="TXT", use_edns=0, payload=4096)
    message = dns.message.from_wire(add_opt(asked, reply(200), build_ede(Ede.BLOCKED, "why")))
    assert (message.edns, message.payload) == (0, 1232)
    assert message.extended_errors()[0].text == "why"


def test_a_cookie_goes_back():
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    message = dns.message.from_wire(add_opt(query(use_edns=0, options=[cookie]), reply()))
    assert message.options[0].to_wire() == b"12345678"


RECORDS = (
    LocalRecord(1, 30, b"\xc0\0\2\5"),
    LocalRecord(1, 30, b"\xc0\0\2\6"),
    LocalRecord(16, 40, b"\2hi"),
)


@pytest.mark.parametrize(
    ("qtype", "answer"),
    [
        ("A", {"30 A 192.0.2.5", "30 A 192.0.2.6"}),
        ("TXT", {'40 TXT "hi"'}),
        ("ANY", {"30 A 192.0.2.5", "30 A 192.0.2.6", '40 TXT "hi"'}),
    ],
)
def test_local_data_answers_with_its_records_of_the_type(qtype, answer):
    message = blocked(Refusal.LOCAL_DATA, qtype=qtype, records=RECORDS)
    assert answer == {
        f"{rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in message.answer
        for rdata in rrset
    }
    assert message.rcode() == dns.rcode.NOERROR
    assert message.authority == []


def test_local_data_of_another_type_is_no_data():
    message = blocked(Refusal.LOCAL_DATA, qtype="AAAA", records=RECORDS)
    assert (message.rcode(), message.answer) == (dns.rcode.NOERROR, [])
    assert message.authority


def test_truncated_says_nothing_but_to_come_by_tcp():
    message = dns.message.from_wire(build_truncated(query(use_edns=0, want_dnssec=True)))
    assert message.flags & dns.flags.TC
    assert message.question[0].name.to_text() == f"{NAME}."
    assert (message.answer, message.authority, message.edns) == ([], [], 0)


def test_refused_may_say_why():
    message = dns.message.from_wire(build_refused(query(use_edns=0), Ede.PROHIBITED, "not you"))
    assert message.rcode() == dns.rcode.REFUSED
    (error,) = message.extended_errors()
    assert (error.code, error.text) == (18, "not you")


def test_refused_need_not_say_why():
    assert not dns.message.from_wire(build_refused(query(use_edns=0))).extended_errors()


def local(name, qtype):
    asked = query(name, qtype)
    return dns.message.from_wire(build_local(asked, answer_special(asked.name, asked.qtype)))


def test_a_name_that_is_answered_here_has_its_records():
    assert local("localhost", "AAAA").answer[0].to_text() == "localhost. 10800 IN AAAA ::1"


def test_a_name_that_is_answered_here_and_is_not_there_has_a_soa():
    message = local("secret.onion", "A")
    assert message.rcode() == dns.rcode.NXDOMAIN
    assert message.authority[0].name.to_text() == "."
    assert message.authority[0].rdtype == dns.rdatatype.SOA


def test_of_more_records_than_a_message_holds_the_first_are_given():
    records = [
        LocalRecord(16, 60, b"\xc8" + b"%03d" % number + b"x" * 197) for number in range(400)
    ]
    built = build_blocked(
        query(qtype="TXT", use_edns=0),
        verdict(Refusal.LOCAL_DATA, records=tuple(records)),
        "because",
    )
    assert 65_000 < len(built) <= 65_535
    [given] = dns.message.from_wire(built).answer
    assert {each.strings[0][:3] for each in given} == {b"%03d" % n for n in range(len(given))}
