"""What a reply leads to."""

from ipaddress import ip_address

import dns.message
import pytest

from enforcer.dns.packets.answer import MAX_RECORDS, parse_answer

REPLY = """\
id 1
opcode QUERY
rcode NOERROR
flags QR RD RA
edns 0
payload 1400
;QUESTION
innocent.example.net. IN A
;ANSWER
innocent.example.net. 60 IN CNAME Two.example.net.
two.example.net. 60 IN CNAME connect.ngrok-agent.com.
connect.ngrok-agent.com. 60 IN A 203.0.113.10
connect.ngrok-agent.com. 60 IN A 203.0.113.11
connect.ngrok-agent.com. 60 IN AAAA 2001:db8::10
;AUTHORITY
example.net. 60 IN NS ns.example.net.
;ADDITIONAL
ns.example.net. 60 IN A 203.0.113.53
"""


def wire(text=REPLY):
    return dns.message.from_text(text).to_wire()


def test_aliases_and_addresses_of_the_answer_section_are_found():
    answer = parse_answer(wire())
    assert answer.aliases == (
        b"\x03two\x07example\x03net\0",
        b"\x07connect\x0bngrok-agent\x03com\0",
    )
    # dnspython writes the records of a set in any order.
    assert set(answer.addresses) == set(
        map(ip_address, ("203.0.113.10", "203.0.113.11", "2001:db8::10"))
    )


def test_opt_is_found_where_it_stands():
    reply = wire()
    at = parse_answer(reply).opt_at
    assert reply[at : at + 5] == b"\0\0\x29" + (1400).to_bytes(2, "big")
    assert parse_answer(wire(REPLY.replace("edns 0\npayload 1400\n", ""))).opt_at is None


def test_dname_leads_to_its_target():
    text = REPLY.replace("two.example.net. 60 IN CNAME", "example.net. 60 IN DNAME")
    assert b"\x07connect\x0bngrok-agent\x03com\0" in parse_answer(wire(text)).aliases


def test_other_records_are_stepped_over():
    text = REPLY.replace(
        "connect.ngrok-agent.com. 60 IN A 203.0.113.10",
        'connect.ngrok-agent.com. 60 IN TXT "x" "y"\n'
        "connect.ngrok-agent.com. 60 IN HTTPS 1 . alpn=h2\n"
        "connect.ngrok-agent.com. 60 IN TYPE65400 \\# 3 010203",
    )
    assert parse_answer(wire(text)).addresses[0] == ip_address("203.0.113.11")


@pytest.mark.parametrize("length", range(len(wire())))
def test_reply_that_is_cut_off_cannot_be_read(length):
    assert parse_answer(wire()[:length]) is None


def alias_record(target):
    """A reply whose only record is a CNAME with this data."""
    header = b"\0\1\x81\x80\0\0\0\1\0\0\0\0"
    return header + b"\1a\0" + b"\0\5\0\1\0\0\0\x3c" + len(target).to_bytes(2, "big") + target


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"\xc0\x19", id="to itself"),
        pytest.param(b"\1x\xc0\x19", id="in a circle"),
        pytest.param(b"\xc0\xff", id="past the end"),
        pytest.param(b"\x40" + b"x" * 64 + b"\0", id="a label of 64 bytes"),
        pytest.param(b"\x3f" + b"x" * 63, id="no end"),
        pytest.param((b"\x3f" + b"x" * 63) * 4 + b"\0", id="more than 255 bytes"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_alias_that_is_no_name_cannot_be_read(target):
    assert parse_answer(alias_record(target)) is None


def test_alias_may_point_to_an_earlier_name():
    assert parse_answer(alias_record(b"\1b\xc0\x0c")).aliases == (b"\1b\1a\0",)


def test_more_records_than_anybody_uses_are_not_read():
    counts = (MAX_RECORDS + 1).to_bytes(2, "big")
    assert parse_answer(b"\0\1\x81\x80\0\0" + counts + b"\0\0\0\0") is None


def test_service_leads_to_its_target_and_to_its_hints():
    answer = parse_answer(
        wire(
            "id 1\nopcode QUERY\nrcode NOERROR\nflags QR RD RA\n"
            ";QUESTION\na.test. IN HTTPS\n;ANSWER\n"
            "a.test. 60 IN HTTPS 1 Svc.test. alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 ech=AAT+DQAA\n"
            "a.test. 60 IN HTTPS 2 . ipv6hint=2001:db8::1\n"
        )
    )
    assert answer.aliases == (b"\3svc\4test\0",)
    assert answer.addresses == ()
    assert sorted((service.ech, *map(str, service.hints)) for service in answer.services) == [
        (False, "2001:db8::1"),
        (True, "192.0.2.1", "192.0.2.2"),
    ]


def service_record(params):
    """A reply whose only record is HTTPS 1 . with these bytes as parameters."""
    data = b"\0\1\0" + params
    return (
        b"\0\1\x81\x80\0\0\0\1\0\0\0\0\1a\0"
        b"\0\x41\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
    )


@pytest.mark.parametrize(
    "params",
    [
        pytest.param(b"\0\5\0\4abc", id="longer than the record"),
        pytest.param(b"\0\4\0\3abc", id="a hint that is no address"),
        pytest.param(b"\0\6\0\4abcd", id="an IPv6 hint of four bytes"),
        pytest.param(b"\0\5\0", id="cut off in its length"),
    ],
)
def test_service_with_malformed_parameters_cannot_be_read(params):
    assert parse_answer(service_record(params)) is None


NEGATIVE = """\
id 1
opcode QUERY
rcode {rcode}
flags QR RD RA
;QUESTION
gone.example.net. IN A
;ANSWER
{answer}
;AUTHORITY
{authority}
"""
SOA = "example.net. {ttl} IN SOA ns.example.net. hostmaster.example.net. 1 2 3 4 {minimum}"


def ttl_of(rcode, answer, authority):
    text = NEGATIVE.format(rcode=rcode, answer=answer, authority=authority)
    # A blank line ends a message's text.
    answer = parse_answer(wire("\n".join(filter(None, text.split("\n")))))
    return answer.negative, answer.ttl_s


@pytest.mark.parametrize(("ttl", "minimum"), [(900, 60), (60, 900)])
@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
def test_negative_answer_is_kept_by_its_soa(rcode, ttl, minimum):
    assert ttl_of(rcode, "", SOA.format(ttl=ttl, minimum=minimum)) == (True, 60)


def test_ttl_with_its_first_bit_set_is_zero():
    """RFC 2181 8."""
    reply = wire().replace(b"\0\0\0\x3c", b"\x80\0\0\x3c")
    assert parse_answer(reply).ttl_s == 0


def test_alias_to_nothing_is_kept_no_longer_than_the_alias():
    alias = "gone.example.net. 30 IN CNAME other.example.net."
    assert ttl_of("NXDOMAIN", alias, SOA.format(ttl=900, minimum=900)) == (True, 30)
    assert ttl_of("NOERROR", alias, "") == (True, None)


def test_negative_answer_without_soa_and_referral_say_nothing_of_their_time():
    assert ttl_of("NXDOMAIN", "", "") == (True, None)
    assert ttl_of("NOERROR", "", "example.net. 60 IN NS ns.example.net.") == (True, None)


def test_positive_answer_is_kept_by_its_smallest_ttl():
    text = REPLY.replace("60 IN NS", "20 IN NS")
    assert parse_answer(wire(text)).ttl_s == 20
    assert not parse_answer(wire(text)).negative


def test_places_of_the_ttls_are_found_and_opt_has_none():
    reply = wire()
    answer = parse_answer(reply)
    assert len(answer.ttl_at) == 7
    assert all(reply[at : at + 4] == b"\0\0\0\x3c" for at in answer.ttl_at)


def test_v4_mapped_address_is_the_v4_address_that_clients_reach_by_it():
    text = REPLY.replace("AAAA 2001:db8::10", "AAAA ::ffff:127.0.0.1")
    assert ip_address("127.0.0.1") in parse_answer(wire(text)).addresses
