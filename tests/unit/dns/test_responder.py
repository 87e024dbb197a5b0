"""The steps for one query, without a socket."""

from ipaddress import ip_address

import dns.message
import dns.rcode
import pytest
from unit.dns.desk import CLIENT, Desk, reply_to

from enforcer.dns.ask import TCP, UDP, Ask, Asker

POLICY = """
version: 1
mode: enforce
default: allow
include: [packs/ngrok.yaml]
connect_urls:
  - {host: connect.example.com, issuer: ngrok, region_hosts: [tunnel.us.connect.example.com]}
rules:
  - {id: guests, action: block, match: {names: [guests.example], clients: [10.9.0.0/16]}}
  - {id: watched, action: monitor, match: {names: [watched.example]}}
"""


@pytest.fixture
def desk(policy_from):
    return Desk(policy_from(POLICY))


@pytest.mark.parametrize(
    "name",
    [
        "connect.ngrok-agent.com",
        "CONNECT.Ngrok-Agent.COM.",
        "connect.eu.ngrok-agent.com",
        "connect.us-new-9.ngrok-agent.com",
        "tunnel.ngrok.com",
        "korgn.su.lennut.com",
    ],
)
@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS", "TXT", "ANY"])
def test_default_ingress_does_not_resolve_whatever_is_asked_of_it(desk, name, qtype):
    message = dns.message.from_wire(desk.ask(name, qtype))
    assert message.rcode() == dns.rcode.NXDOMAIN
    (error,) = message.extended_errors()
    assert "use connect.example.com:443" in error.text
    assert desk.queries("block") == 1


def test_block_is_recorded_with_who_what_and_why(desk):
    desk.ask("Connect.ngrok-agent.com")
    (event,) = desk.events
    assert (event.plane, event.client, event.name) == ("dns", "10.8.0.2", "connect.ngrok-agent.com")
    assert (event.action, event.rule, event.mode) == ("block", "ngrok-connect", "enforce")
    assert event.source.partition(":")[0].endswith("packs/ngrok.yaml")
    assert event.policy == desk.policy.current.policy.digest
    assert event.time_s == 1000.0


def test_other_names_are_asked_upstream_and_passed_on_without_a_record(desk):
    message = desk.answer("www.example.org", "www.example.org. 60 IN A 192.0.2.80")
    assert message.answer[0].to_text() == "www.example.org. 60 IN A 192.0.2.80"
    assert desk.events == []
    assert desk.queries("allow") == 1


def test_lookup_of_a_connect_url_is_recorded(desk):
    desk.answer(
        "tunnel.us.connect.example.com",
        "tunnel.us.connect.example.com. 60 IN A 192.0.2.80",
        transport=TCP,
    )
    (event,) = desk.events
    assert (event.action, event.rule) == ("allow", "connect-url:connect.example.com:443")
    assert desk.queries("allow", TCP) == 1


def test_alias_of_a_default_name_is_blocked(desk):
    message = desk.answer(
        "innocent.example",
        "innocent.example. 60 IN CNAME connect.ngrok-agent.com.",
        "connect.ngrok-agent.com. 60 IN A 203.0.113.10",
    )
    assert message.rcode() == dns.rcode.NXDOMAIN
    assert message.answer == []
    (event,) = desk.events
    assert event.name == "innocent.example"
    assert event.reason.endswith("(it is an alias of connect.ngrok-agent.com)")
    assert (desk.queries("block"), desk.queries("allow")) == (1, 0)


def test_rule_for_other_clients_does_not_concern_this_one(desk):
    assert isinstance(desk.ask("guests.example"), Ask)
    assert isinstance(desk.ask("guests.example", client=ip_address("10.9.1.1")), bytes)


def test_monitor_answers_and_records(desk):
    assert desk.answer("watched.example", "watched.example. 60 IN A 192.0.2.1").answer
    assert desk.events[0].action == "monitor"


def test_monitor_mode_answers_all_and_records_what_it_would_have_done(policy_from):
    desk = Desk(policy_from(POLICY.replace("enforce", "monitor")))
    assert desk.answer("connect.ngrok-agent.com", "connect.ngrok-agent.com. 60 IN A 192.0.2.1")
    assert desk.answer("innocent.example", "innocent.example. 60 IN CNAME tunnel.ngrok.com.").answer
    assert [event.action for event in desk.events] == ["monitor", "monitor"]
    assert all(event.reason.startswith("would block: ") for event in desk.events)


def test_policy_of_the_moment_of_the_answer_decides(desk, policy_from):
    ask = desk.ask("later.example")
    desk.policy.current = policy_from(
        "{version: 1, default: allow, rules: "
        "[{id: new, action: block, match: {names: [later.example]}}]}"
    )
    message = desk.resume(ask, reply_to(ask.queries[0]))
    assert message.rcode() == dns.rcode.NXDOMAIN
    assert desk.events[0].rule == "new"


def test_no_upstream_is_a_failure_that_says_so(desk):
    message = desk.resume(desk.ask("www.example"), None)
    assert message.rcode() == dns.rcode.SERVFAIL
    assert message.extended_errors()[0].text == "no upstream answers"
    assert desk.metrics.dns_discarded.cell("upstream_failed").value == 1
    assert desk.queries("allow") == 1


def test_what_the_policy_said_is_on_record_also_when_no_upstream_answers(policy_from):
    desk = Desk(policy_from(POLICY.replace("enforce", "monitor")))
    desk.resume(desk.ask("connect.ngrok-agent.com"), None)
    assert [(event.action, event.rule) for event in desk.events] == [("monitor", "ngrok-connect")]


@pytest.mark.parametrize(("on_failure", "passes"), [("closed", False), ("open", True)])
def test_answer_that_cannot_be_read_fails_as_the_policy_says(policy_from, on_failure, passes):
    desk = Desk(policy_from(f"{{version: 1, default: allow, on_failure: {{dns: {on_failure}}}}}"))
    ask = desk.ask("www.example", id=9)
    reply = reply_to(ask.queries[0])
    damaged = reply[:7] + b"\5" + reply[8:10] + b"\xff\xff"  # as many as can be claimed
    answer = desk.responder.resume(ask, (damaged,), desk.now_s)
    assert answer[:2] == b"\0\x09"
    assert (answer[3] & 0xF == dns.rcode.NOERROR) is passes


def test_large_answer_is_whole_over_tcp_and_truncated_over_udp(desk):
    lines = [f"big.example. 60 IN A 192.0.2.{number}" for number in range(100)]
    assert not desk.answer("big.example", *lines).answer
    assert len(desk.look_up("big.example", transport=TCP).answer[0]) == 100


def test_packet_that_is_no_query_is_not_answered(desk):
    assert desk.responder.answer(b"\0" * 5, Asker(CLIENT, UDP), 0.0) is None
    assert desk.metrics.dns_discarded.cell("malformed").value == 1


def test_too_many_queries_are_told_so(desk):
    message = dns.message.from_wire(desk.responder.overloaded(desk.ask("www.example")))
    assert message.rcode() == dns.rcode.SERVFAIL
    assert desk.metrics.dns_discarded.cell("overloaded").value == 1
