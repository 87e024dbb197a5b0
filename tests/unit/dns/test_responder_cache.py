"""Answers given again: what is cached is what upstream said, and the policy is asked each time."""

from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import pytest
from unit.dns.desk import CLIENT, Desk, packet_of, reply_to

from enforcer.dns.ask import TCP, Ask
from enforcer.dns.cache import CacheLimits

ALLOW = "{version: 1, default: allow}"
UPSTREAM = """
example. 300 SOA ns.example. admin.example. 1 3600 600 86400 60
www.example. 100 A 192.0.2.80
alias.example. 100 CNAME www.example.
zero.example. 0 A 192.0.2.81
"""
ADDRESS = ip_address("192.0.2.80")


@pytest.fixture
def desk(policy_from):
    return Desk(policy_from(ALLOW), UPSTREAM)


def rules(policy_from, *written):
    return policy_from("{version: 1, default: allow, rules: [" + ", ".join(written) + "]}")


def test_an_answer_is_given_again_with_less_time(desk):
    assert desk.look_up("www.example").answer[0].ttl == 100
    desk.now_s += 40
    again = desk.look_up("WWW.example", id=9)
    assert (again.id, again.answer[0].ttl) == (9, 60)
    assert again.question[0].name.to_text() == "WWW.example."
    assert desk.upstream.asked == ["www.example. A"]
    assert (desk.origin("upstream"), desk.origin("cache")) == (1, 1)


@pytest.mark.parametrize(
    "other", [{"want_dnssec": True}, {"flags": dns.flags.RD | dns.flags.CD}, {"qtype": "AAAA"}]
)
def test_what_upstream_would_answer_otherwise_is_asked(desk, other):
    desk.look_up("www.example")
    assert isinstance(desk.ask("www.example", **other), Ask)


def test_upstream_is_asked_to_resolve_and_to_say_whether_it_validated(desk):
    (query,) = desk.ask("www.example", flags=0).queries
    assert query.flags == dns.flags.RD | dns.flags.AD


def test_a_client_without_rd_is_told_so(desk):
    assert not desk.look_up("www.example", flags=0).flags & dns.flags.RD
    assert not desk.look_up("zero.example", flags=0).flags & dns.flags.RD


def test_an_answer_without_time_is_given_once(desk):
    desk.look_up("zero.example")
    assert isinstance(desk.ask("zero.example"), Ask)


def test_that_there_is_no_such_name_is_known_too(desk):
    assert desk.look_up("none.example").rcode() == dns.rcode.NXDOMAIN
    assert desk.look_up("none.example").rcode() == dns.rcode.NXDOMAIN
    assert len(desk.upstream.asked) == 1


def test_a_failure_is_given_again_for_a_moment(desk):
    ask = desk.ask("www.example")
    assert desk.resume(ask, reply_to(ask.queries[0], rcode=2)).rcode() == dns.rcode.SERVFAIL
    assert desk.look_up("www.example").rcode() == dns.rcode.SERVFAIL
    desk.now_s += 6
    assert desk.look_up("www.example").answer


def test_an_answer_from_before_is_given_when_upstream_fails(desk):
    desk.look_up("www.example")
    desk.now_s += 200
    desk.upstream.set("down")
    assert desk.look_up("www.example").answer[0].ttl == 30
    assert (desk.origin("stale"), desk.discarded("upstream_failed")) == (1, 1)
    assert isinstance(desk.ask("www.example"), bytes), "for a while upstream is left alone"
    desk.now_s += 31
    assert isinstance(desk.ask("www.example"), Ask)


def test_an_answer_from_before_is_given_when_upstream_refuses(desk):
    desk.look_up("www.example")
    desk.now_s += 200
    ask = desk.ask("www.example")
    assert desk.resume(ask, reply_to(ask.queries[0], rcode=5)).answer[0].ttl == 30


def test_an_answer_from_too_long_before_is_not(policy_from):
    desk = Desk(policy_from(ALLOW), UPSTREAM, limits=CacheLimits(stale_s=60))
    desk.look_up("www.example")
    desk.now_s += 161
    desk.upstream.set("down")
    assert desk.look_up("www.example").rcode() == dns.rcode.SERVFAIL


def test_an_answer_from_before_is_there_while_upstream_takes_long(desk):
    desk.look_up("www.example")
    assert not desk.ask("zero.example").older
    desk.now_s += 200
    ask = desk.ask("www.example")
    assert ask.older
    older = dns.message.from_wire(desk.responder.give_older(ask, desk.now_s))
    assert older.answer[0].ttl == 30


def test_what_was_there_and_is_not_any_more_is_waited_for(desk):
    desk.look_up("www.example")
    desk.now_s += 200
    ask = desk.ask("www.example")
    desk.shared.cache.clear()
    assert desk.responder.give_older(ask, desk.now_s) is ask
    assert desk.responder.give_older(ask._replace(asked=None), desk.now_s).asked is None


def test_an_answer_from_before_is_judged_by_the_policy_of_now(desk, policy_from):
    desk.look_up("www.example")
    desk.now_s += 200
    ask = desk.ask("www.example")
    desk.policy.current = rules(
        policy_from, "{id: r, action: block, match: {names: [www.example]}}"
    )
    older = dns.message.from_wire(desk.responder.give_older(ask, desk.now_s))
    assert older.rcode() == dns.rcode.NXDOMAIN


def test_an_answer_near_its_end_is_fetched_again_beside(desk):
    desk.look_up("www.example")
    desk.now_s += 95
    assert desk.look_up("www.example").answer[0].ttl == 5
    assert len(desk.upstream.asked) == 1
    assert desk.look_up("www.example").answer, "said once"
    assert desk.carry_later() == 1
    assert desk.metrics.dns_prefetches.cell().value == 1
    desk.now_s += 10
    assert desk.look_up("www.example").answer[0].ttl == 90
    assert len(desk.upstream.asked) == 2
    assert desk.queries("allow") == 4, "what is fetched for nobody counts for nobody"


@pytest.mark.parametrize(
    "rule",
    [
        "{id: r, action: block, match: {names: [alias.example]}}",
        "{id: r, action: block, match: {names: [www.example]}}",
        "{id: r, action: block, match: {addresses: [192.0.2.80]}}",
        "{id: r, action: block, match: {clients: [10.8.0.0/16]}}",
    ],
)
def test_a_reload_blocks_what_is_cached_with_the_next_question(desk, policy_from, rule):
    for _ in range(2):
        assert desk.look_up("alias.example").answer
    packet = packet_of("alias.example")
    assert desk.quickly(packet)
    desk.policy.current = rules(policy_from, rule)
    assert desk.quickly(packet) is None
    assert desk.look_up("alias.example").rcode() == dns.rcode.NXDOMAIN
    assert len(desk.upstream.asked) == 1
    again = desk.quickly(packet)
    assert again is None or dns.message.from_wire(again).rcode() == dns.rcode.NXDOMAIN


def test_a_reload_opens_what_was_blocked(desk, policy_from):
    desk.policy.current = rules(
        policy_from, "{id: r, action: block, match: {names: [www.example]}}"
    )
    for _ in range(2):
        assert desk.look_up("www.example").rcode() == dns.rcode.NXDOMAIN
    desk.policy.current = policy_from(ALLOW)
    assert desk.quickly(packet_of("www.example")) is None
    assert desk.look_up("www.example").answer


def test_what_is_blocked_for_one_client_is_cached_for_another(desk, policy_from):
    desk.policy.current = rules(
        policy_from, "{id: r, action: block, match: {names: [www.example], clients: [10.9.0.0/16]}}"
    )
    assert desk.look_up("alias.example").answer
    guest = desk.look_up("alias.example", client=ip_address("10.9.0.1"))
    assert guest.rcode() == dns.rcode.NXDOMAIN
    assert len(desk.upstream.asked) == 1


@pytest.mark.parametrize("name", ["www.example", "alias.example"])
def test_the_gate_knows_who_was_told_which_address(desk, name):
    holds = desk.shared.bindings.holds
    assert not holds(CLIENT, name, ADDRESS, desk.now_s)
    desk.look_up(name, transport=TCP)
    assert holds(CLIENT, name, ADDRESS, desk.now_s)
    assert not holds(ip_address("10.8.0.9"), name, ADDRESS, desk.now_s)
    desk.look_up(name, client=ip_address("10.8.0.9"))
    assert holds(ip_address("10.8.0.9"), name, ADDRESS, desk.now_s)
    assert not holds(CLIENT, "other.example", ADDRESS, desk.now_s)


def test_of_a_blocked_answer_the_gate_is_told_nothing(desk, policy_from):
    desk.policy.current = rules(
        policy_from, "{id: r, action: block, match: {addresses: [192.0.2.80]}}"
    )
    desk.look_up("www.example")
    assert not desk.shared.bindings.holds(CLIENT, "www.example", ADDRESS, desk.now_s)


SUBNET = [dns.edns.ECSOption("203.0.113.0", 24)]


def test_an_answer_for_a_subnet_is_for_nobody_else(policy_from):
    desk = Desk(policy_from(ALLOW), UPSTREAM, passes_subnet=True)
    assert desk.look_up("www.example", options=SUBNET).answer
    assert len(desk.shared.cache) == 0
    desk.look_up("www.example")
    assert isinstance(desk.ask("www.example", options=SUBNET), Ask)


def test_a_subnet_that_upstream_is_not_told_makes_no_difference(desk):
    desk.look_up("www.example")
    assert isinstance(desk.ask("www.example", options=SUBNET), bytes)


def test_a_subnets_failure_is_counted_like_any_other(policy_from):
    desk = Desk(policy_from(ALLOW), "down", passes_subnet=True)
    assert desk.look_up("www.example", options=SUBNET).rcode() == dns.rcode.SERVFAIL
    assert desk.discarded("upstream_failed") == 1
