"""The fast road: what it takes, what it leaves to the general one."""

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass
import pytest

from enforcer.dns.wire import Edns, parse_query


def packet(name="Connect.Ngrok-Agent.COM", qtype="A", **options):
    return dns.message.make_query(name, qtype, **options).to_wire()


def test_query_is_read_with_its_name_folded_and_its_question_as_written():
    query = parse_query(packet(id=4711))
    assert query.id == 4711
    assert query.name == b"\x07connect\x0bngrok-agent\x03com\x00"
    assert query.question == b"\x07Connect\x0bNgrok-Agent\x03COM\x00\x00\x01\x00\x01"
    assert query.qtype == 1
    assert query.edns is None


def test_root_is_a_name():
    assert parse_query(packet(".", "NS")).name == b"\0"


@pytest.mark.parametrize("do", [False, True])
def test_opt_says_size_and_do(do):
    query = parse_query(packet(use_edns=0, payload=1400, want_dnssec=do))
    assert query.edns == Edns(1400, do)


def test_options_in_opt_are_stepped_over():
    cookie = dns.edns.GenericOption(10, b"12345678")
    assert parse_query(packet(use_edns=0, options=[cookie])).edns == Edns(1232, do=False)


def test_flags_that_a_resolver_hears_are_kept():
    query = parse_query(packet(flags=dns.flags.RD | dns.flags.AD | dns.flags.CD))
    assert query.flags == dns.flags.RD | dns.flags.AD | dns.flags.CD


def response_bit(message):
    message.flags |= dns.flags.QR


def other_opcode(message):
    message.set_opcode(dns.opcode.NOTIFY)


def other_class(message):
    message.question[0].rdclass = dns.rdataclass.CH


def newer_edns(message):
    message.use_edns(edns=1)


@pytest.mark.parametrize("change", [response_bit, other_opcode, other_class, newer_edns])
def test_unusual_queries_are_left_to_the_general_road(change):
    message = dns.message.make_query("example.org", "A")
    change(message)
    assert parse_query(message.to_wire()) is None


@pytest.mark.parametrize("qtype", ["AXFR", "IXFR", "TKEY", "OPT"])
def test_types_that_ask_for_no_data_are_left_to_the_general_road(qtype):
    assert parse_query(packet(qtype=qtype)) is None


def test_any_is_data():
    assert parse_query(packet(qtype="ANY")).qtype == 255


@pytest.mark.parametrize("length", range(len(packet(use_edns=0))))
def test_half_a_query_is_none(length):
    assert parse_query(packet(use_edns=0)[:length]) is None


def test_bytes_behind_a_query_make_it_unusual():
    assert parse_query(packet() + b"\0") is None
    assert parse_query(packet(use_edns=0) + b"\0") is None


def test_compression_in_the_question_is_unusual():
    head = packet()[:12]
    assert parse_query(head + b"\xc0\x0c\x00\x01\x00\x01") is None


def test_name_of_more_than_255_bytes_is_unusual():
    label = b"\x3f" + b"x" * 63
    assert parse_query(packet()[:12] + label * 4 + b"\0\0\1\0\1") is None
    assert parse_query(packet()[:12] + label * 3 + b"\x3d" + b"x" * 61 + b"\0\0\1\0\1") is not None
