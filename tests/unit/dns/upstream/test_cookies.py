"""Cookies to an upstream, and which of its options a client may see."""

import dns.edns
import dns.message
import dns.rrset
import pytest

from enforcer.dns.upstream.cookies import CookieFault, UpstreamCookies, read_reply

CLIENT, SERVER = b"clientck", b"servercookie1234"
COOKIE, EDE, PADDING, SUBNET = 10, 15, 12, 8
EDE_DATA = b"\0\x0fblocked"


def reply(*options, edns=True, rcode=0, extra=()):
    message = dns.message.make_response(dns.message.make_query("www.example.", "A"))
    message.answer.append(dns.rrset.from_text("www.example.", 60, "IN", "A", "192.0.2.1"))
    for owner in extra:
        message.additional.append(dns.rrset.from_text(owner, 60, "IN", "A", "192.0.2.2"))
    if edns:
        generic = [dns.edns.GenericOption(kind, data) for kind, data in options]
        message.use_edns(0, payload=1232, options=generic)
        message.set_rcode(rcode)
    return message.to_wire()


def options_of(wire):
    message = dns.message.from_wire(wire)
    return [option.otype for option in message.options] if message.edns >= 0 else None


@pytest.fixture
def cookies():
    return UpstreamCookies(CLIENT, 0.0)


def test_our_cookie_is_sent_and_the_servers_with_it_once_it_gave_one(cookies):
    assert cookies.option == b"\0\x0a\0\x08" + CLIENT
    assert read_reply(reply((COOKIE, CLIENT + SERVER)), cookies, keep_opt=True).fault is None
    assert cookies.option == b"\0\x0a\0\x18" + CLIENT + SERVER


def test_a_reply_with_another_client_cookie_is_none_to_us(cookies):
    read = read_reply(reply((COOKIE, b"otherone" + SERVER)), cookies, keep_opt=True)
    assert read.fault is CookieFault.OTHER
    assert SERVER not in cookies.option


@pytest.mark.parametrize("message", [reply(), reply(edns=False)])
def test_a_reply_without_a_cookie_is_doubted_once_there_was_one(cookies, message):
    assert read_reply(message, cookies, keep_opt=True).fault is None
    read_reply(reply((COOKIE, CLIENT + SERVER)), cookies, keep_opt=True)
    assert read_reply(message, cookies, keep_opt=True).fault is CookieFault.MISSING


def test_bad_cookie_brings_the_new_one(cookies):
    read = read_reply(reply((COOKIE, CLIENT + SERVER), rcode=23), cookies, keep_opt=True)
    assert read.fault is CookieFault.BAD
    assert read.extended_rcode == 1
    assert SERVER in cookies.option


@pytest.mark.parametrize("server", [b"", b"short", b"x" * 33])
def test_a_server_cookie_of_another_length_is_not_kept(cookies, server):
    assert read_reply(reply((COOKIE, CLIENT + server)), cookies, keep_opt=True).fault is None
    assert cookies.option == b"\0\x0a\0\x08" + CLIENT


def test_a_cookie_does_not_live_for_ever(cookies):
    assert not cookies.expired(86_000)
    assert cookies.expired(87_000)


@pytest.mark.parametrize("extra", [(), ("a.example.", "b.example.")])
def test_clients_see_reasons_and_subnets_and_no_cookie(cookies, extra):
    wire = reply(
        (COOKIE, CLIENT + SERVER),
        (EDE, EDE_DATA),
        (PADDING, b"\0" * 30),
        (SUBNET, b"\0\1\x18\x18\xc0\0\2"),
        extra=extra,
    )
    read = read_reply(wire, cookies, keep_opt=True)
    assert options_of(read.message) == [EDE, SUBNET]
    assert len(dns.message.from_wire(read.message).additional) == len(extra)
    assert CLIENT not in read.message


def test_a_client_that_sent_no_opt_gets_none(cookies):
    for wire in (reply((COOKIE, CLIENT)), reply(), reply((EDE, EDE_DATA), extra=["a.example."])):
        read = read_reply(wire, cookies, keep_opt=False)
        assert options_of(read.message) is None
        assert len(dns.message.from_wire(read.message).answer) == 1


@pytest.mark.parametrize("wire", [reply(), reply((EDE, EDE_DATA)), reply(edns=False)])
def test_what_has_nothing_for_us_stays_as_it_is(wire, cookies):
    assert read_reply(wire, None, keep_opt=True).message is wire
    assert read_reply(wire, cookies, keep_opt=True).message is wire


def test_an_opt_in_front_of_other_records_is_found(cookies):
    wire = reply(extra=["a.example."])
    opt = wire[-11:]
    assert opt[:3] == b"\0\0\x29"
    records = len(b"\1a\xc0\x10" + b"\0\1\0\1\0\0\0<\0\4" + b"\xc0\0\2\2")
    moved = wire[: -11 - records] + opt + wire[-11 - records : -11]
    assert dns.message.from_wire(moved).edns == 0
    read = read_reply(moved, cookies, keep_opt=False)
    assert options_of(read.message) is None
    assert len(dns.message.from_wire(read.message).additional) == 1
