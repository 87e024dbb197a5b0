"""Which servers a name is delegated to, found through a resolver."""

from ipaddress import ip_address

import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.dns.delegation import (
    FAILED_KEPT_S,
    MAX_KEPT_S,
    MAX_STEPS,
    UNKNOWN,
    Delegations,
    NsFacts,
)
from enforcer.dns.packets.wire import Query
from enforcer.policy.names import from_wire, to_wire

SOA = "{} 300 IN SOA ns.example.net. hostmaster.example.net. 1 2 3 4 {}"
# Where it is not said otherwise, a name is in the zone foreign.test and has nothing.
ZONE = {
    ("foreign.test", "NS"): ["foreign.test. 600 IN NS Ns1.example.net."],
    ("connect.foreign.test", "NS"): [
        "connect.foreign.test. 60 IN NS kns2.ngrok.test.",
        "connect.foreign.test. 60 IN NS kns1.ngrok.test.",
    ],
    ("alias.foreign.test", "NS"): ["alias.foreign.test. 60 IN CNAME elsewhere.test."],
    ("kns1.ngrok.test", "A"): ["kns1.ngrok.test. 60 IN A 192.0.2.53"],
    ("kns1.ngrok.test", "AAAA"): ["kns1.ngrok.test. 60 IN AAAA 2001:db8::53"],
    ("kns2.ngrok.test", "A"): ["kns2.ngrok.test. 60 IN A 192.0.2.54"],
}


def reply_to(query, zone="foreign.test", minimum=120):
    name, qtype = from_wire(query.name), dns.rdatatype.to_text(query.qtype)
    message = dns.message.make_response(
        dns.message.from_wire(b"\0\0\1\0\0\1\0\0\0\0\0\0" + query.question)
    )
    lines = ZONE.get((name, qtype), ())
    for line in lines:
        message.answer.append(dns.rrset.from_text(*line.split(maxsplit=4)))
    if not lines and qtype == "NS":
        soa = SOA.format(f"{zone}.", minimum)
        message.authority.append(dns.rrset.from_text(*soa.split(maxsplit=4)))
    return message.to_wire()


@pytest.fixture
def delegations():
    return Delegations()


def facts_of(delegations, name, now_s, *, want_ips=False):
    """The first question that is missing, or the facts."""
    missing = delegations.missing(name, now_s, want_ips=want_ips)
    return missing[0] if missing else delegations.known(name, now_s, want_ips=want_ips)


def find(delegations, name, now_s=0.0, *, want_ips=False):
    """The facts, and what was asked for them."""
    asked = []
    while isinstance(
        facts := facts_of(delegations, to_wire(name), now_s, want_ips=want_ips), Query
    ):
        asked.append((from_wire(facts.name), dns.rdatatype.to_text(facts.qtype)))
        delegations.learn(facts, reply_to(facts), now_s)
    return facts, asked


def test_servers_of_a_delegated_name_are_its_own(delegations):
    facts, asked = find(delegations, "connect.foreign.test")
    assert set(facts.nsdnames) == {"kns1.ngrok.test", "kns2.ngrok.test"}
    assert facts.nsips is None
    assert asked == [("connect.foreign.test", "NS")]


def test_name_below_a_zone_has_the_zones_servers(delegations):
    facts, asked = find(delegations, "www.foreign.test")
    assert facts == NsFacts(("ns1.example.net",), None)
    assert asked == [("www.foreign.test", "NS"), ("foreign.test", "NS")]


def test_a_zone_is_asked_for_once(delegations):
    find(delegations, "www.foreign.test")
    assert find(delegations, "www.foreign.test")[1] == []
    assert find(delegations, "mail.foreign.test")[1] == [("mail.foreign.test", "NS")]


def test_alias_is_in_the_zone_above_it(delegations):
    facts, asked = find(delegations, "alias.foreign.test")
    assert facts.nsdnames == ("ns1.example.net",)
    assert asked == [("alias.foreign.test", "NS"), ("foreign.test", "NS")]


def test_addresses_of_the_servers_are_found_where_they_are_wanted(delegations):
    facts, asked = find(delegations, "connect.foreign.test", want_ips=True)
    assert set(facts.nsips) == set(map(ip_address, ("192.0.2.53", "192.0.2.54", "2001:db8::53")))
    assert len(asked) == 5


def test_addresses_can_be_asked_for_side_by_side(delegations):
    name = to_wire("connect.foreign.test")
    rounds = []
    while missing := delegations.missing(name, 0.0, want_ips=True):
        rounds.append(len(missing))
        for query in missing:
            delegations.learn(query, reply_to(query), 0.0)
    assert rounds == [1, 4]


def test_servers_without_any_address_have_no_known_one(delegations):
    facts, asked = find(delegations, "www.foreign.test", want_ips=True)
    assert facts == NsFacts(("ns1.example.net",), None)
    assert len(asked) == 4


def test_what_is_known_needs_no_question(delegations):
    name = to_wire("connect.foreign.test")
    assert delegations.known(name, 0.0) == UNKNOWN
    find(delegations, "connect.foreign.test")
    assert len(delegations.known(name, 0.0).nsdnames) == 2
    assert delegations.known(name, 0.0, want_ips=True).nsips is None


def test_facts_are_kept_as_long_as_their_ttl(delegations):
    find(delegations, "connect.foreign.test")
    assert find(delegations, "connect.foreign.test", 59.0)[1] == []
    assert find(delegations, "connect.foreign.test", 60.0)[1] != []
    # SOA's MINIMUM, 120, for the name; 600 for the servers of its zone.
    find(delegations, "www.foreign.test")
    assert find(delegations, "www.foreign.test", 119.0)[1] == []
    assert find(delegations, "www.foreign.test", 121.0)[1] == [("www.foreign.test", "NS")]


@pytest.mark.parametrize("reply", [None, b"", b"x" * 20, b"\0\0\x81\x82" + b"\0" * 8])
def test_what_cannot_be_found_out_is_not_known_and_not_asked_again_at_once(delegations, reply):
    name = to_wire("www.foreign.test")
    delegations.learn(facts_of(delegations, name, 0.0), reply, 0.0)
    assert facts_of(delegations, name, 0.0) == UNKNOWN
    assert isinstance(facts_of(delegations, name, FAILED_KEPT_S), Query)


def test_soa_of_a_zone_that_the_name_is_not_in_says_nothing(delegations):
    """A server that lies gets no other name's facts in."""
    query = facts_of(delegations, to_wire("www.foreign.test"), 0.0)
    delegations.learn(query, reply_to(query, zone="other.test"), 0.0)
    assert facts_of(delegations, to_wire("www.foreign.test"), 0.0).name == to_wire("foreign.test")


def test_minimum_of_years_is_not_believed(delegations):
    name = to_wire("www.foreign.test")
    query = facts_of(delegations, name, 0.0)
    delegations.learn(query, reply_to(query, minimum=10**9), 0.0)
    assert facts_of(delegations, name, MAX_KEPT_S).name == name


def test_aliases_all_the_way_up_end_the_search(delegations):
    name = to_wire("a." * 60 + "test")
    asked = 0
    while isinstance(query := facts_of(delegations, name, 0.0), Query):
        delegations.learn(query, b"\0\0\x81\x80" + b"\0" * 8, 0.0)
        asked += 1
    assert (query, asked) == (UNKNOWN, MAX_STEPS)


def test_root_is_a_zone_like_others(delegations):
    query = facts_of(delegations, b"\0", 0.0)
    delegations.learn(query, b"\0\0\x81\x80" + b"\0" * 8, 0.0)
    assert facts_of(delegations, b"\0", 0.0) == UNKNOWN


def test_memory_is_bounded():
    delegations = Delegations(max_names=3)
    for number in range(10):
        find(delegations, f"n{number}.foreign.test")
    assert len(delegations) <= 6


@given(st.binary(max_size=120), st.sampled_from([1, 2]))
@settings(max_examples=100)
def test_any_reply_is_learnt_or_not(reply, qtype):
    delegations = Delegations()
    query = Query(0, 0, b"\1a\0", qtype, b"\1a\0\0" + bytes((qtype,)) + b"\0\1", None)
    delegations.learn(query, reply, 0.0)
    assert len(delegations) == 1
