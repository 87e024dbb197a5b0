"""Whose zone a name is in: asked first, asked beside, or not asked at all."""

import dns.message
import dns.rcode
import pytest
from unit.dns.desk import Desk, packet_of

from enforcer.dns import zone_search
from enforcer.dns.ask import Ask, Step

POLICY = """
version: 1
default: allow
delegation: {delegation}
on_failure: {{dns: {on_failure}}}
rules:
  - {{id: server, action: block, match: {{{match}}}}}
"""
UPSTREAM = """
. 300 SOA ns.root. admin.root. 1 3600 600 86400 60
bad.example. 300 SOA ns1.crooks.example. admin.bad.example. 1 3600 600 86400 60
bad.example. 300 NS ns1.crooks.example.
bad.example. 300 NS ns2.crooks.example.
www.bad.example. 300 A 192.0.2.80
good.example. 300 SOA ns.good.example. admin.good.example. 1 3600 600 86400 60
good.example. 300 NS ns.good.example.
www.good.example. 300 A 192.0.2.81
cloaked.good.example. 300 CNAME www.bad.example.
ns.good.example. 300 A 192.0.2.53
ns1.crooks.example. 300 A 192.0.2.54
ns2.crooks.example. 300 A 198.51.100.53
ns2.crooks.example. 300 AAAA 2001:db8:53::1
"""
NSDNAME = "nsdnames: [crooks.example]"
NSIPS = ["nsips: [198.51.100.0/24]", "nsips: ['2001:db8:53::/48']"]


@pytest.fixture
def desk_of(policy_from):
    def make(match=NSDNAME, delegation="strict", on_failure="closed"):
        said = {"match": match, "delegation": delegation, "on_failure": on_failure}
        return Desk(policy_from(POLICY.format(**said)), UPSTREAM)

    return make


@pytest.mark.parametrize("match", [NSDNAME, *NSIPS])
def test_strict_waits_for_whose_zone_it_is(desk_of, match):
    desk = desk_of(match)
    assert desk.look_up("www.bad.example").rcode() == dns.rcode.NXDOMAIN
    assert desk.look_up("cloaked.good.example").rcode() == dns.rcode.NXDOMAIN
    assert desk.look_up("www.good.example").answer
    assert [event.rule for event in desk.events] == ["server", "server"]


@pytest.mark.parametrize("match", [NSDNAME, *NSIPS])
def test_async_gives_the_first_answer_and_blocks_when_it_knows(desk_of, match):
    desk = desk_of(match, "async")
    assert desk.look_up("www.bad.example").answer
    for _ in range(5):
        desk.look_up("www.bad.example")
        desk.carry_later()
    assert desk.look_up("www.bad.example").rcode() == dns.rcode.NXDOMAIN


def test_off_asks_nobody(desk_of):
    desk = desk_of(delegation="off")
    assert desk.look_up("www.bad.example").answer
    assert desk.upstream.asked == ["www.bad.example. A"]
    assert desk.responder.later == []


def test_what_is_known_of_a_zone_is_not_asked_again(desk_of):
    desk = desk_of()
    desk.look_up("www.bad.example")
    desk.upstream.asked.clear()
    assert desk.look_up("www.bad.example").rcode() == dns.rcode.NXDOMAIN
    assert desk.upstream.asked == []
    quick = dns.message.from_wire(desk.quickly(packet_of("www.bad.example")))
    assert quick.rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("delegation", "on_failure", "fails"),
    [("strict", "closed", True), ("strict", "open", False), ("async", "closed", False)],
)
def test_servers_that_nobody_tells_fail_as_the_policy_says(desk_of, delegation, on_failure, fails):
    """Else a zone's owner hides from a rule about its name servers by not telling them."""
    desk = desk_of(delegation=delegation, on_failure=on_failure)
    answered = desk.carry(desk.ask("www.bad.example"))
    desk.upstream.set("down")
    message = dns.message.from_wire(desk.settle(answered))
    assert bool(message.answer) is not fails
    assert message.rcode() == (dns.rcode.SERVFAIL if fails else dns.rcode.NOERROR)


def test_a_name_that_is_blocked_anyway_waits_for_nobody(policy_from):
    policy = POLICY.format(match=NSDNAME, delegation="strict", on_failure="closed")
    policy += "  - {id: cloak, action: block, match: {names: [www.bad.example]}}\n"
    desk = Desk(policy_from(policy), UPSTREAM)
    assert desk.look_up("cloaked.good.example").rcode() == dns.rcode.NXDOMAIN
    assert desk.upstream.asked == ["cloaked.good.example. A"]


def test_the_questions_of_a_chain_go_side_by_side(desk_of):
    desk = desk_of()
    ask = desk.carry(desk.ask("cloaked.good.example"))
    assert ask.step is Step.DELEGATION
    assert {query.name for query in ask.queries} == {
        b"\7cloaked\4good\7example\0",
        b"\3www\3bad\7example\0",
    }


def test_names_and_rounds_of_a_chain_are_bounded(desk_of):
    desk = desk_of()
    chain = [f"a{number}.example. 300 CNAME a{number + 1}.example." for number in range(15)]
    desk.upstream.set("\n".join([*chain, "a15.example. 300 A 192.0.2.1"]))
    outcome, rounds = desk.ask("a0.example"), 0
    while isinstance(outcome, Ask):
        assert len(outcome.queries) <= zone_search.MAX_SIDE_BY_SIDE
        outcome, rounds = desk.carry(outcome), rounds + 1
    assert rounds <= zone_search.MAX_ROUNDS + 1
    assert dns.message.from_wire(outcome).answer


def test_an_answer_out_of_the_cache_counts_as_one_though_its_zone_is_asked_for(
    desk_of, policy_from
):
    desk = Desk(policy_from("{version: 1, default: allow}"), UPSTREAM)
    desk.look_up("www.good.example")
    desk.policy.current = policy_from(
        POLICY.format(match=NSDNAME, delegation="strict", on_failure="closed")
    )
    assert desk.look_up("www.good.example").answer
    assert (desk.origin("upstream"), desk.origin("cache")) == (1, 1)


def test_a_reload_between_the_questions_decides(desk_of, policy_from):
    desk = desk_of()
    ask = desk.carry(desk.ask("www.bad.example"))
    desk.policy.current = policy_from("{version: 1, default: allow}")
    assert dns.message.from_wire(desk.carry(ask)).answer


def test_failure_while_the_zone_is_looked_for_is_one_count(desk_of):
    desk = desk_of()
    desk.look_up("www.bad.example")
    desk.look_up("www.good.example")
    assert (desk.queries("block"), desk.queries("allow")) == (1, 1)
