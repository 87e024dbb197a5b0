"""A name's addresses, with the policy asked about what it leads to."""

from ipaddress import ip_address

import dns.message
import pytest

from enforcer.dns.delegation import Delegations
from enforcer.dns.resolve import Resolved, Resolver
from enforcer.policy.holder import PolicyHolder

CLIENT = ip_address("10.8.0.2")
POLICY = """
version: 1
default: allow
rules:
  - {id: closed, action: block, match: {names: [closed.test], clients: [10.8.0.0/16]}}
  - {id: watched, action: monitor, match: {names: [watched.test]}}
  - {id: safe, action: block, refusal: {cname: safe.test}, match: {names: [search.test]}}
  - {id: slow, action: block, refusal: tcp_only, match: {names: [slow.test]}}
  - {id: trusted, action: passthru, match: {names: [trusted.test]}}
  - {id: crooks, action: block, match: {nsdnames: [crooks.test]}}
"""
ZONE = {
    ("www.test.", "A"): ["www.test. 60 IN A 192.0.2.1"],
    ("www.test.", "AAAA"): ["www.test. 60 IN AAAA 2001:db8::1"],
    ("search.test.", "A"): ["search.test. 60 IN A 192.0.2.3"],
    ("slow.test.", "A"): ["slow.test. 60 IN A 192.0.2.4"],
    ("far.bad.test.", "A"): ["far.bad.test. 60 IN A 192.0.2.5"],
    ("bad.test.", "NS"): ["bad.test. 60 IN NS ns.crooks.test."],
    ("alias.test.", "AAAA"): ["alias.test. 60 IN CNAME closed.test."],
    ("seen.test.", "A"): [
        "seen.test. 60 IN CNAME watched.test.",
        "watched.test. 60 IN A 192.0.2.2",
    ],
    ("trusted.test.", "A"): [
        "trusted.test. 60 IN CNAME closed.test.",
        "closed.test. 60 IN A 192.0.2.6",
    ],
    ("seen.test.", "AAAA"): ["seen.test. 60 IN CNAME watched.test."],
}


class ZoneForwarder:
    """Answers from ZONE; anything else gets an empty answer, and ``gone.test`` none."""

    async def ask(self, query):
        message = dns.message.from_wire(b"\0\0\1\0\0\1\0\0\0\0\0\0" + query.question)
        (question,) = message.question
        name = question.name.to_text()
        if name == "gone.test.":
            return None
        response = dns.message.make_response(message)
        for line in ZONE.get((name, dns.rdatatype.to_text(question.rdtype)), ()):
            response.answer.append(dns.rrset.from_text(*line.split(maxsplit=4)))
        return response.to_wire()


@pytest.fixture
def resolve(policy_from, clock):
    return Resolver(PolicyHolder(policy_from(POLICY)), ZoneForwarder(), clock).resolve


async def test_addresses_of_both_families_are_found(resolve):
    assert await resolve("www.test", CLIENT) == Resolved(
        (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
    )


async def test_special_names_are_known_here_and_never_leak(policy_from, clock):
    """RFC 6761 6.3, RFC 7686 2; unless the settings have upstreams for them."""
    policy, asked = PolicyHolder(policy_from(POLICY)), []

    class Upstream(ZoneForwarder):
        async def ask(self, query):
            asked.append(query.name)
            return await super().ask(query)

    def is_routed(name):
        return name.endswith(b"\3www\4test\0")

    resolve = Resolver(policy, Upstream(), clock, is_routed=is_routed).resolve
    loopback = ip_address("127.0.0.1"), ip_address("::1")
    assert await resolve("localhost", CLIENT) == Resolved(loopback)
    assert await resolve("hidden.onion", CLIENT) == Resolved()
    assert await resolve("other.test", CLIENT) == Resolved()
    assert asked == []
    assert (await resolve("www.test", CLIENT)).addresses
    assert asked


@pytest.mark.parametrize(("delegation", "found"), [("strict", 0), ("async", 1), ("off", 1)])
async def test_nobody_hides_by_not_saying_who_serves_a_zone(policy_from, clock, delegation, found):
    policy = policy_from(POLICY + f"delegation: {delegation}\n")

    class Mute(ZoneForwarder):
        """Answers for addresses and for nothing else."""

        async def ask(self, query):
            if query.qtype == dns.rdatatype.NS:
                return None
            message = dns.message.from_wire(b"\0\0\1\0\0\1\0\0\0\0\0\0" + query.question)
            response = dns.message.make_response(message)
            if query.qtype == dns.rdatatype.A:
                response.answer.append(
                    dns.rrset.from_text("www.example.", 60, "IN", "A", "192.0.2.1")
                )
            return response.to_wire()

    def is_routed(_):
        return False

    resolver = Resolver(PolicyHolder(policy), Mute(), clock, is_routed=is_routed)
    assert len((await resolver.resolve("www.example", CLIENT)).addresses) == found


@pytest.mark.parametrize("name", ["nothing.test", "gone.test"])
async def test_name_without_addresses_gives_none(resolve, name):
    assert await resolve(name, CLIENT) == Resolved()


async def test_alias_of_a_blocked_name_gives_the_verdict(resolve):
    resolved = await resolve("alias.test", CLIENT)
    assert resolved.addresses == ()
    assert resolved.verdict.rule == "closed"
    assert await resolve("alias.test", ip_address("10.9.0.2")) == Resolved()


async def test_what_a_name_leads_to_is_not_judged_after_a_passthru(resolve):
    assert await resolve("trusted.test", CLIENT) == Resolved((ip_address("192.0.2.6"),))


async def test_alias_of_a_watched_name_gives_the_verdict_and_the_addresses(resolve):
    resolved = await resolve("seen.test", CLIENT)
    assert resolved.addresses == (ip_address("192.0.2.2"),)
    assert (resolved.verdict.rule, resolved.verdict.action) == ("watched", "monitor")


@pytest.mark.parametrize(
    ("name", "address"), [("search.test", "192.0.2.3"), ("slow.test", "192.0.2.4")]
)
async def test_what_a_lookup_is_answered_with_does_not_concern_a_connection(resolve, name, address):
    assert await resolve(name, CLIENT) == Resolved((ip_address(address),))


async def test_who_serves_the_name_is_judged_for_connections_too(resolve):
    """Else an agent behind a proxy reached what a lookup of its own would not find."""
    found = await resolve("far.bad.test", CLIENT)
    assert (found.verdict.rule, found.addresses) == ("crooks", ())


async def test_who_serves_a_zone_is_known_to_lookups_and_connections_alike(policy_from, clock):
    asked = []

    class Upstream(ZoneForwarder):
        async def ask(self, query):
            asked.append(query.qtype)
            return await super().ask(query)

    shared = Delegations()
    resolve = Resolver(PolicyHolder(policy_from(POLICY)), Upstream(), clock, shared).resolve
    await resolve("far.bad.test", CLIENT)
    assert len(shared)
    asked.clear()
    await resolve("far.bad.test", CLIENT)
    assert dns.rdatatype.NS not in asked
