"""Every name and every address that an answer leads to is judged."""

from ipaddress import ip_address

import pytest

from enforcer.dns.answer import Answer
from enforcer.dns.filters import judge_answer
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
  - {id: range, action: block, match: {addresses: [198.51.100.0/24]}}
"""


@pytest.fixture
def judge(policy_from):
    policy = policy_from(POLICY)

    def judged(name, *led_to):
        names = tuple(to_wire(one) for one in led_to if one[-1].isalpha())
        addresses = tuple(ip_address(one) for one in led_to if not one[-1].isalpha())
        return judge_answer(policy, Request(Plane.DNS, name), Answer(names, addresses, None))

    return judged


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
