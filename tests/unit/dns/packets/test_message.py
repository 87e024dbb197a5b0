"""The general road: unusual queries that can be used, and the errors for those that cannot."""

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import pytest

from enforcer.dns.packets.message import read_query
from enforcer.dns.packets.wire import Edns, Query


def query(name="example.org", qtype="A", **options):
    return dns.message.make_query(name, qtype, **options)


def error_of(packet):
    """The rcode of the answer that refuses a packet, read by another implementation."""
    answer = read_query(packet)
    assert isinstance(answer, bytes)
    message = dns.message.from_wire(answer)
    assert message.flags & dns.flags.QR
    assert answer[:2] == packet[:2]
    return message.rcode()


def test_bytes_behind_a_query_do_not_matter():
    read = read_query(query("Example.ORG").to_wire() + b"\0")
    assert isinstance(read, Query)
    assert read.name == b"\x07example\x03org\0"
    assert read.question.startswith(b"\x07Example\x03ORG\0")


def test_odd_flags_do_not_matter():
    message = query(use_edns=0, want_dnssec=True)
    message.flags |= dns.flags.AA
    read = read_query(message.to_wire())
    assert isinstance(read, Query)
    assert read.edns == Edns(1232, do=True)


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, query().to_wire()[:11]])
def test_less_than_a_header_is_not_answered(packet):
    assert read_query(packet) is None


def test_responses_are_not_answered():
    message = query()
    message.flags |= dns.flags.QR
    assert read_query(message.to_wire()) is None


def test_other_opcodes_are_not_implemented():
    message = query()
    message.set_opcode(dns.opcode.UPDATE)
    assert error_of(message.to_wire()) == dns.rcode.NOTIMP


@pytest.mark.parametrize("count", [0, 2])
def test_any_number_of_questions_but_one_is_a_format_error(count):
    packet = bytearray(query().to_wire())
    packet[4:6] = count.to_bytes(2, "big")
    assert error_of(bytes(packet)) == dns.rcode.FORMERR


def test_two_opts_are_a_format_error():
    packet = bytearray(query(use_edns=0).to_wire())
    packet += packet[-11:]
    packet[10:12] = b"\0\2"
    assert error_of(bytes(packet)) == dns.rcode.FORMERR


@pytest.mark.parametrize("broken", ["second OPT", "option cut off"])
def test_who_sent_an_opt_that_cannot_be_read_is_told_that_edns_is_known(broken):
    asked = query(use_edns=0, want_dnssec=True)
    packet = bytearray(asked.to_wire())
    if broken == "second OPT":
        packet += packet[-11:]
        packet[10:12] = b"\0\2"
    else:
        packet[-1] = 1
        packet += b"\0"
    answer = dns.message.from_wire(read_query(bytes(packet)))
    assert answer.rcode() == dns.rcode.FORMERR
    assert answer.question == asked.question
    assert answer.edns == 0
    assert answer.ednsflags == dns.flags.DO


def test_newer_edns_is_told_which_version_we_speak():
    message = query()
    message.use_edns(edns=1)
    answer = dns.message.from_wire(read_query(message.to_wire()))
    assert answer.rcode() == dns.rcode.BADVERS
    assert answer.edns == 0
    assert answer.question == query().question


def test_other_classes_and_transfers_are_refused():
    chaos = query("version.bind", "TXT")
    chaos.question[0].rdclass = dns.rdataclass.CH
    assert error_of(chaos.to_wire()) == dns.rcode.REFUSED
    assert error_of(query(qtype="AXFR").to_wire()) == dns.rcode.REFUSED


def test_refusal_carries_the_question():
    asked = query("version.bind", "TXT", use_edns=0)
    asked.question[0].rdclass = dns.rdataclass.CH
    answer = dns.message.from_wire(read_query(asked.to_wire()))
    assert answer.question == asked.question
    assert answer.edns == 0


def test_half_a_question_is_a_format_error():
    assert error_of(query().to_wire()[:-3]) == dns.rcode.FORMERR


def test_question_that_points_to_itself_is_a_format_error():
    assert error_of(query().to_wire()[:12] + b"\xc0\x0c\0\1\0\1") == dns.rcode.FORMERR
