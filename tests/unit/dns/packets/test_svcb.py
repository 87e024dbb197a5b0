"""HTTPS and SVCB answers without ech and without hints that the policy blocks."""

from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rdatatype
import pytest

from enforcer.dns.packets.answer import parse_answer
from enforcer.dns.packets.svcb import Strip, strip_services

ECH = "AAT+DQAA"
V6_HINT = 'ipv6hint="2001:db8::1"'
REPLY = f"""\
id 1
opcode QUERY
rcode NOERROR
flags QR RD RA AD
edns 0
eflags DO
;QUESTION
www.example.net. IN HTTPS
;ANSWER
www.example.net. 60 IN HTTPS 1 . mandatory=ipv4hint,ech alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 \
ech={ECH} ipv6hint=2001:db8::1
www.example.net. 60 IN RRSIG HTTPS 13 3 60 20300101000000 20200101000000 1 example.net. AAAA
;AUTHORITY
example.net. 60 IN NS ns.example.net.
example.net. 60 IN RRSIG NS 13 3 60 20300101000000 20200101000000 1 example.net. AAAA
;ADDITIONAL
svc.example.net. 60 IN HTTPS 1 . ech={ECH}
ns.example.net. 60 IN A 192.0.2.1
"""
V4, OTHER_V4, V6 = map(ip_address, ("192.0.2.1", "192.0.2.2", "2001:db8::1"))


def wire(text=REPLY):
    return dns.message.from_text(text).to_wire()


def strip(reply, *, ech=False, hints=()):
    return strip_services(reply, parse_answer(reply), Strip(ech, frozenset(hints)))


def service_of(reply):
    rrset = dns.message.from_wire(reply).answer[0]
    assert rrset.rdtype == dns.rdatatype.HTTPS
    return rrset[0].to_text()


@pytest.mark.parametrize(
    ("what", "left"),
    [
        (
            {"ech": True},
            f'1 . mandatory="ipv4hint" alpn="h2" ipv4hint="192.0.2.1,192.0.2.2" {V6_HINT}',
        ),
        (
            {"hints": [V4]},
            f'1 . mandatory="ipv4hint,ech" alpn="h2" ipv4hint="192.0.2.2" ech="{ECH}" {V6_HINT}',
        ),
        ({"ech": True, "hints": [V4, OTHER_V4, V6]}, '1 . alpn="h2"'),
    ],
    ids=["ech", "a hint", "everything"],
)
def test_what_must_go_goes_and_the_rest_stays(what, left):
    assert service_of(strip(wire(), **what)) == left


def test_signatures_over_what_was_changed_go_and_so_does_ad():
    message = dns.message.from_wire(strip(wire(), ech=True))
    assert [rrset.rdtype for rrset in message.answer] == [dns.rdatatype.HTTPS]
    assert len(message.authority) == 2
    assert not message.flags & dns.flags.AD
    assert message.ednsflags & dns.flags.DO


def test_additional_section_goes_since_it_may_repeat_what_was_stripped():
    stripped = strip(wire(), ech=True)
    assert dns.message.from_wire(stripped).additional == []
    assert not any(service.ech for service in parse_answer(stripped).services)


def test_reply_with_nothing_to_strip_is_not_touched():
    reply = wire()
    assert strip(reply, hints=[ip_address("198.51.100.1")]) is reply
    assert strip(reply) is reply
    without = wire(REPLY.replace(f"ech={ECH}", "").replace(",ech", ""))
    assert strip(without, ech=True) is without


def test_target_that_is_compressed_against_the_rfc_is_written_in_full():
    """RFC 9460 2.2 forbids it; some clients would follow it all the same."""
    header = b"\0\1\x81\x80\0\1\0\1\0\0\0\0"
    data = b"\0\1\xc0\x0e\0\5\0\1x"
    reply = (
        header
        + b"\1a\4test\0\0\x41\0\1"
        + b"\xc0\x0c\0\x41\0\1\0\0\0\x3c"
        + len(data).to_bytes(2, "big")
        + data
    )
    assert service_of(strip(reply, ech=True)) == "1 test."


def test_v4_mapped_hint_goes_where_the_v4_address_must():
    reply = wire(REPLY.replace("ipv6hint=2001:db8::1", "ipv6hint=2001:db8::1,::ffff:192.0.2.9"))
    answer = parse_answer(reply)
    assert ip_address("192.0.2.9") in answer.services[0].hints
    stripped = strip(reply, hints=[ip_address("192.0.2.9")])
    [service] = parse_answer(stripped).services
    assert V6 in service.hints
    assert ip_address("192.0.2.9") not in service.hints
