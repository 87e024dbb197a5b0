"""What an answer says of the connection it goes over, to who asked for it."""

import dns.edns
import dns.message
import pytest

from enforcer.dns.packets.stream_options import add_stream_options

KEEPALIVE = dns.edns.GenericOption(11, b"")
PADDING = dns.edns.GenericOption(12, b"")


def query(*options, edns=0):
    return dns.message.make_query("www.example.org", "A", use_edns=edns, options=list(options))


def answered(asked, *, encrypted=True, idle_s=10.0, records=1):
    response = dns.message.make_response(asked)
    for number in range(records):
        text = f"www.example.org. 60 IN A 192.0.{number >> 8}.{number & 255}"
        response.answer.append(dns.rrset.from_text(*text.split(maxsplit=4)))
    wire = response.to_wire(max_size=65535)
    sent = add_stream_options(asked.to_wire(), wire, idle_s=idle_s, encrypted=encrypted)
    return dns.message.from_wire(sent), sent, wire


def options(message):
    return {int(option.otype): option.to_wire() for option in message.options}


def test_who_asks_is_told_how_long_a_connection_may_be_idle():
    message, *_ = answered(query(KEEPALIVE))
    assert options(message) == {11: b"\0\x64"}


def test_what_the_option_cannot_say_is_cut_to_what_it_can():
    message, *_ = answered(query(KEEPALIVE), idle_s=1e6)
    assert options(message) == {11: b"\xff\xff"}


@pytest.mark.parametrize("records", [1, 20, 31, 100])
def test_padded_answers_have_one_of_few_lengths(records):
    message, sent, _ = answered(query(KEEPALIVE, PADDING), records=records)
    assert len(sent) % 468 == 0
    assert set(options(message)) == {11, 12}
    assert len(message.answer) == 1
    assert len(message.answer[0]) == records


def test_what_everybody_can_read_is_not_padded():
    _, sent, wire = answered(query(PADDING), encrypted=False)
    assert sent == wire


@pytest.mark.parametrize("asked", [query(), query(edns=-1), query(dns.edns.GenericOption(9, b""))])
def test_who_does_not_ask_gets_what_there_is(asked):
    _, sent, wire = answered(asked)
    assert sent == wire


def test_the_bytes_of_an_option_elsewhere_ask_for_nothing():
    asked = dns.message.make_query(
        b"\x00\x0b\x00\x00.example.org".decode("latin1"), "A", use_edns=0
    )
    _, sent, wire = answered(asked)
    assert sent == wire


def test_an_answer_without_opt_gets_none():
    asked = query(KEEPALIVE)
    wire = dns.message.make_response(query(edns=-1)).to_wire()
    assert add_stream_options(asked.to_wire(), wire, idle_s=1, encrypted=True) == wire


def test_an_answer_that_has_no_room_is_left_alone():
    asked = query(PADDING)
    full = dns.message.make_response(asked).to_wire() + bytes(65000)
    sent = add_stream_options(asked.to_wire(), full, idle_s=1, encrypted=True)
    assert len(sent) <= 0xFFFF
