"""Every name and every address that an answer leads to is judged."""

from ipaddress import ip_address

import pytest

from enforcer.dns.delegation import NsFacts
from enforcer.dns.filters import find_strip, judge_answer
from enforcer.dns.packets.answer import Answer, Service
from enforcer.dns.packets.svcb import Strip
from enforcer.policy.model import Action, Plane, Request
from enforcer.policy.names import to_wire

POLICY = """
version: 1
default: allow
connect_urls:
  - {host: connect.example.com, issuer: ngrok, addresses: [203.0.113.10]}
rules:
  - {id: cloak, action: block, match: {suffixes: [ngrok-agent.com]}, reason: closed}
  - {id: crl, action: allow, match: {names: [crl.ngrok-agent.com]}}
  - {id: watched, action: monitor, match: {suffixes: [watched.test]}}
  - {id: trusted, action: passthru, match: {suffixes: [trusted.test]}}
  - {id: range, action: block, match: {addresses: [198.51.100.0/24]}}
  - {id: seen, action: monitor, match: {addresses: [198.18.0.0/24]}}
  - {id: foreign, action: block, match: {nsdnames: [ngrok.test]}}
"""
WITHOUT_ADDRESSES = """
version: 1
default: allow
rules:
  - {id: cloak, action: block, match: {suffixes: [ngrok-agent.com]}, reason: closed}
"""
BLOCKED, WATCHED, OTHER = map(ip_address, ("198.51.100.7", "198.18.0.1", "192.0.2.1"))


def answer_of(*led_to, ech=False, hints=()):
    names = tuple(to_wire(one) for one in led_to if one[-1].isalpha())
    addresses = tuple(ip_address(one) for one in led_to if not one[-1].isalpha())
    services = (Service(0, 0, 0, 0, ech, tuple(hints)),) if ech or hints else ()
    return Answer(names, addresses, None, services=services)


@pytest.fixture
def policy(policy_from):
    return policy_from(POLICY)


@pytest.fixture
def judge(policy):
    def judged(name, *led_to, ns_facts=None, hints=()):
        answer = answer_of(*led_to, hints=hints)
        return judge_answer(policy, Request(Plane.DNS, name), answer, ns_facts or {})

    return judged


@pytest.fixture
def strip(policy_from):
    def stripped(name, answer, change=""):
        return find_strip(policy_from(POLICY + change), Request(Plane.DNS, name), answer)

    return stripped


def test_answer_that_leads_nowhere_special_has_no_verdict(judge):
    assert judge("www.example.org", "cdn.example.net", "192.0.2.1") is None


@pytest.mark.parametrize("chain", [["connect.ngrok-agent.com"], ["b.test", "x.ngrok-agent.com"]])
def test_alias_of_a_blocked_name_is_blocked_wherever_it_stands(judge, chain):
    verdict = judge("innocent.test", *chain)
    assert verdict.blocks
    assert verdict.rule == "cloak"
    assert verdict.reason == f"closed (it is an alias of {chain[-1]})"


def test_address_in_a_blocked_range_is_blocked(judge):
    assert judge("innocent.test", "192.0.2.1", "198.51.100.7").rule == "range"


def test_connect_url_may_have_no_other_than_its_dedicated_addresses(judge):
    assert judge("connect.example.com", "203.0.113.10") is None
    assert judge("connect.example.com", "203.0.113.66").blocks


def test_block_wins_over_monitor(judge):
    assert judge("innocent.test", "a.watched.test").action is Action.MONITOR
    assert judge("innocent.test", "a.watched.test", "x.ngrok-agent.com").rule == "cloak"


def test_first_of_two_monitors_is_told(judge):
    assert judge("innocent.test", "a.watched.test", str(WATCHED)).rule == "watched"


def test_what_an_alias_leads_to_is_not_judged_after_a_passthru(judge):
    assert judge("innocent.test", "a.trusted.test", "x.ngrok-agent.com") is None
    assert judge("innocent.test", "x.ngrok-agent.com", "a.trusted.test").rule == "cloak"


def test_targets_of_services_stand_beside_each_other(judge):
    led_to = ("a.trusted.test", "x.ngrok-agent.com")
    assert judge("innocent.test", *led_to, hints=[OTHER]).rule == "cloak"


def test_alias_is_judged_by_its_own_name_servers_and_not_by_those_of_the_question(policy, judge):
    servers = NsFacts(("kns1.ngrok.test",), None)
    facts = {to_wire("connect.foreign.example"): servers}
    led_to = ("connect.foreign.example", str(OTHER))
    assert judge("innocent.test", *led_to, ns_facts=facts).rule == "foreign"
    asked = Request(Plane.DNS, "innocent.test", nsdnames=servers.nsdnames)
    assert judge_answer(policy, asked, answer_of("other.example")) is None


def test_rule_that_waits_for_an_address_hides_no_block_of_an_alias(judge):
    """It lets through until the address is known, and then has nothing to do with it."""
    facts = {to_wire("connect.foreign.example"): NsFacts(("kns1.ngrok.test",), None)}
    led_to = ("connect.foreign.example", "192.0.2.1", "192.0.2.2")
    assert judge("innocent.test", *led_to, ns_facts=facts).rule == "foreign"


def test_names_and_addresses_beyond_measure_are_judged_each_by_itself(judge):
    names = [f"n{number}.test" for number in range(30)]
    addresses = [f"192.0.2.{number}" for number in range(30)]
    assert judge("innocent.test", *names, *addresses) is None
    assert judge("innocent.test", *names, "x.ngrok-agent.com", *addresses).rule == "cloak"
    assert judge("innocent.test", *names, *addresses, str(BLOCKED)).rule == "range"


def test_hint_blocks_no_answer_and_is_watched_like_an_address(judge):
    assert judge("innocent.test", hints=[BLOCKED]) is None
    assert judge("innocent.test", hints=[WATCHED]).rule == "seen"


def test_policy_without_addresses_judges_names_all_the_same(policy_from):
    policy = policy_from(WITHOUT_ADDRESSES)
    assert not policy.has_address_triggers
    request = Request(Plane.DNS, "innocent.test")
    assert judge_answer(policy, request, answer_of("b.test", "192.0.2.1")) is None
    assert judge_answer(policy, request, answer_of("x.ngrok-agent.com", "192.0.2.1")).blocks
    assert find_strip(policy, request, answer_of(hints=[BLOCKED])) is None


def test_blocked_hints_are_to_be_stripped(strip):
    answer = answer_of(hints=[OTHER, BLOCKED, WATCHED])
    assert strip("innocent.test", answer) == Strip(ech=False, hints=frozenset((BLOCKED,)))


@pytest.mark.parametrize(
    ("name", "alias", "change", "goes"),
    [
        ("innocent.test", "b.test", "", False),
        ("connect.example.com", "b.test", "", True),
        ("crl.ngrok-agent.com", "b.test", "", True),
        ("innocent.test", "crl.ngrok-agent.com", "", True),
        ("innocent.test", "b.test", "strip_ech: all\n", True),
        ("connect.example.com", "b.test", "strip_ech: never\n", False),
        ("connect.example.com", "b.test", "mode: monitor\n", False),
    ],
)
def test_ech_goes_where_the_policy_is_about_a_name(strip, name, alias, change, goes):
    found = strip(name, answer_of(alias, ech=True), change)
    assert found == (Strip(ech=True, hints=frozenset()) if goes else None)


def test_answer_without_services_has_nothing_to_strip(strip):
    assert strip("connect.example.com", answer_of("b.test", "192.0.2.1")) is None


@pytest.mark.parametrize("name", ["connect.example.com", "_8443._https.connect.example.com"])
def test_services_of_a_host_are_guarded_whatever_the_port(strip, name):
    """RFC 9460 9.1: those of another port than 443 have a name of their own."""
    hints = [ip_address("203.0.113.10"), ip_address("203.0.113.66")]
    assert strip(name, answer_of(ech=True, hints=hints)) == Strip(True, frozenset(hints[1:]))
