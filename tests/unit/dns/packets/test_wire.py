"""The fast road: what it takes, what it leaves to the general one."""

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass
import pytest

from enforcer.dns.packets.wire import Edns, parse_query


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


COOKIE = dns.edns.GenericOption(10, b"12345678")
SUBNET = dns.edns.ECSOption("192.0.2.0", 24)


def with_options(*options):
    return packet(use_edns=0, options=list(options))


def test_unknown_options_in_opt_are_stepped_over():
    unknown = [dns.edns.GenericOption(code, b"x" * length) for code, length in [(100, 0), (3, 9)]]
    assert parse_query(with_options(*unknown)).edns == Edns(1232, do=False)


def test_cookie_and_client_subnet_are_read():
    edns = parse_query(with_options(dns.edns.GenericOption(100, b"x"), SUBNET, COOKIE)).edns
    assert edns.cookie == b"12345678"
    assert edns.client_subnet == bytes.fromhex("00011800c00002")


def test_of_two_cookies_the_first_counts():
    other = dns.edns.GenericOption(10, b"87654321")
    assert parse_query(with_options(COOKIE, other)).edns.cookie == b"12345678"


@pytest.mark.parametrize("length", [1, 7, 9, 15, 41])
def test_cookie_of_no_cookies_length_is_unusual(length):
    assert parse_query(with_options(dns.edns.GenericOption(10, b"x" * length))) is None


@pytest.mark.parametrize("length", [8, 16, 24, 40])
def test_cookie_is_a_client_cookie_alone_or_with_a_server_cookie(length):
    cookie = b"x" * length
    assert parse_query(with_options(dns.edns.GenericOption(10, cookie))).edns.cookie == cookie


def test_options_that_do_not_fill_the_record_are_unusual():
    whole = with_options(COOKIE)
    at = len(whole) - 10
    assert parse_query(whole[:at] + b"\0\x09" + whole[at + 2 :]) is None


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
