"""What a client is told that is not served, as dnspython reads it."""

import dns.flags
import dns.message
import dns.rcode

from enforcer.dns.serving.turn_away import refuse, truncate

QUERY = dns.message.make_query("www.example.org", "A", use_edns=0, id=7)


def test_a_stranger_is_refused_and_told_why():
    message = dns.message.from_wire(refuse(QUERY.to_wire(), "not you"))
    assert message.id == 7
    assert message.rcode() == dns.rcode.REFUSED
    (error,) = message.extended_errors()
    assert (error.code, error.text) == (18, "not you")
    assert message.question == QUERY.question


def test_who_asks_too_often_is_told_to_come_by_tcp():
    message = dns.message.from_wire(truncate(QUERY.to_wire()))
    assert message.id == 7
    assert message.flags & dns.flags.TC
    assert message.rcode() == dns.rcode.NOERROR
    assert message.answer == []
    # No larger than what was asked: a forged query gains nothing.
    assert len(truncate(QUERY.to_wire())) <= len(QUERY.to_wire())


def test_what_is_no_query_gets_what_it_would_get_anyway():
    response = dns.message.make_response(QUERY).to_wire()
    for packet in (b"", b"\0" * 11, response):
        assert refuse(packet, "not you") is None
        assert truncate(packet) is None
    assert refuse(QUERY.to_wire()[:-20], "not you")[3] & 0xF == dns.rcode.FORMERR
