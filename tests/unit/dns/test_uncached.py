"""Replies that are given once, as dnspython reads them."""

import dns.edns
import dns.flags
import dns.message
import dns.rrset
import pytest

from enforcer.dns.packets.wire import parse_query
from enforcer.dns.uncached import Uncached


def reply(*lines, **options):
    asked = dns.message.make_query("WWW.example", "A", id=1, **options)
    message = dns.message.make_response(asked, recursion_available=True)
    for line in lines:
        message.answer.append(dns.rrset.from_text(*line.split(maxsplit=4)))
    return message


def query(**options):
    return parse_query(dns.message.make_query("wWw.example", "A", id=7, **options).to_wire())


def rendered(message, **options):
    return dns.message.from_wire(Uncached(message.to_wire()).render_for(query(**options), 0.0))


def test_it_comes_under_the_clients_id_and_in_its_letters():
    message = rendered(reply("www.example. 0 IN A 192.0.2.1"))
    assert message.id == 7
    assert message.question[0].name.to_text() == "wWw.example."
    assert message.answer[0].to_text().lower() == "www.example. 0 in a 192.0.2.1"


def test_opt_is_from_one_hop_to_the_next():
    answered = reply("www.example. 0 IN A 192.0.2.1", use_edns=0)
    answered.use_edns(0, options=[dns.edns.GenericOption(65001, b"for you only")])
    message = rendered(answered, use_edns=0)
    assert message.edns == -1
    assert message.answer


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({}, False),
        ({"flags": dns.flags.RD | dns.flags.AD}, True),
        ({"use_edns": 0}, False),
        ({"want_dnssec": True}, True),
    ],
)
def test_ad_goes_to_who_asked_for_it(options, given):
    answered = reply("www.example. 0 IN A 192.0.2.1")
    answered.flags |= dns.flags.AD
    assert bool(rendered(answered, **options).flags & dns.flags.AD) is given


@pytest.mark.parametrize("flags", [0, dns.flags.RD])
def test_rd_is_the_clients(flags):
    """Upstream is asked to resolve in any case."""
    assert rendered(reply(), flags=flags).flags & dns.flags.RD == flags


def test_what_it_leads_to_is_known():
    kept = Uncached(reply("www.example. 0 IN A 192.0.2.1", use_edns=0).to_wire())
    assert [str(address) for address in kept.answer.addresses] == ["192.0.2.1"]
    assert kept.answer.opt_at is None
    assert (kept.ttl_s(7.0), kept.same_until_s(7.0), kept.is_stale(7.0)) == (0, 7.0, False)


@pytest.mark.parametrize("damage", [b"\xff\xff", b"\0\1"])
def test_what_cannot_be_read_comes_as_it_is(damage):
    wire = reply(use_edns=0).to_wire()
    damaged = wire[:6] + damage + wire[8:]
    kept = Uncached(damaged)
    assert kept.answer is None
    assert kept.render_for(query(), 0.0) == b"\0\7" + damaged[2:]


@pytest.mark.parametrize("size", range(14))
def test_what_is_hardly_a_message_is_not_read(size):
    kept = Uncached(reply().to_wire()[:size])
    assert kept.answer is None
    assert kept.render_for(query(), 0.0)[:2] == b"\0\7"
