"""Who serves a chain's names, as a policy wants to know it."""

import pytest

from enforcer.dns.delegation import UNKNOWN, Delegations
from enforcer.dns.packets.records import NS
from enforcer.dns.packets.wire import AAAA, A
from enforcer.dns.zone_search import MAX_CHAIN, MAX_SIDE_BY_SIDE, ZoneSearch, is_wanted
from enforcer.policy.names import to_wire

POLICY = """
version: 1
default: allow
delegation: {delegation}
on_failure: {{dns: {on_failure}}}
rules:
  - {{id: ns, action: block, match: {{{match}}}}}
"""
NSDNAMES, NSIPS, PORTS = "nsdnames: [crooks.org]", "nsips: [198.51.100.0/24]", "ports: [25]"
NAME = to_wire("www.example.org")


@pytest.fixture
def policy_of(policy_from):
    def make(match=NSDNAMES, delegation="strict", on_failure="closed"):
        said = {"match": match, "delegation": delegation, "on_failure": on_failure}
        return policy_from(POLICY.format(**said))

    return make


def search(policy, *names, delegations=None, is_routed=lambda _: False):
    zones = Delegations() if delegations is None else delegations
    return ZoneSearch(policy, zones, is_routed, names or (NAME,))


@pytest.mark.parametrize(
    ("match", "delegation", "wanted"),
    [
        (NSDNAMES, "strict", True),
        (NSIPS, "async", True),
        (NSDNAMES, "off", False),
        (PORTS, "strict", False),
    ],
)
def test_nobody_is_asked_where_no_rule_is_about_it(policy_of, match, delegation, wanted):
    assert is_wanted(policy_of(match, delegation)) is wanted


def test_each_name_is_asked_for_once_and_so_many_at_most(policy_of):
    names = [to_wire(f"n{number}.example.org") for number in range(MAX_CHAIN + 5)]
    missing = search(policy_of(), *names, *names).missing(0.0)
    assert [(query.name, query.qtype) for query in missing] == [
        (name, NS) for name in names[:MAX_CHAIN]
    ]
    assert len(missing) <= MAX_SIDE_BY_SIDE


@pytest.mark.parametrize(("match", "qtypes"), [(NSDNAMES, set()), (NSIPS, {A, AAAA})])
def test_addresses_are_asked_for_where_a_rule_is_about_them(policy_of, match, qtypes):
    delegations = Delegations()
    looked = search(policy_of(match), delegations=delegations)
    (query,) = looked.missing(0.0)
    delegations.learn(query, ns_reply(query), 0.0)
    assert {query.qtype for query in looked.missing(0.0)} == qtypes


@pytest.mark.parametrize("routed", [True, False])
def test_what_never_leaves_is_not_asked_for(policy_of, routed):
    """An alias may lead to it."""
    onion = to_wire("x.onion")
    looked = search(policy_of(), NAME, onion, is_routed=lambda _: routed)
    asked = {query.name for query in looked.missing(0.0)}
    assert asked == ({NAME, onion} if routed else {NAME})


@pytest.mark.parametrize(
    ("delegation", "on_failure", "routed", "sure"),
    [
        ("strict", "closed", False, False),
        ("strict", "closed", True, True),
        ("strict", "open", False, True),
        ("async", "closed", False, True),
    ],
)
def test_what_nobody_says_fails_as_the_policy_says(policy_of, delegation, on_failure, routed, sure):
    delegations = Delegations()
    policy = policy_of(delegation=delegation, on_failure=on_failure)
    looked = search(policy, delegations=delegations, is_routed=lambda _: routed)
    (query,) = looked.missing(0.0)
    delegations.learn(query, None, 0.0)
    assert looked.missing(0.0) == ()
    assert looked.facts(0.0) == ({NAME: UNKNOWN} if sure else None)


def ns_reply(query):
    head = b"\0\0\x81\x80\0\1\0\1\0\0\0\0" + query.question
    data = to_wire("ns.example.net")
    return head + b"\xc0\x0c\0\2\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
