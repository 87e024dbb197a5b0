"""The DNS plane as the settings wire it: one object with sockets, cache, upstreams and record."""

import contextlib
import socket
import time
from ipaddress import ip_address

import dns.asyncquery
import dns.edns
import dns.message
import dns.rcode
import pytest
from integration.dns_harness import BLOCKED, POLICY, WilfulResolver

from enforcer.dns.serving.sockets import SharePort
from enforcer.dns_plane import DnsPlane, ListenError
from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder
from enforcer.settings.dns import DnsSettings
from enforcer.settings.endpoint import Endpoint

ANY_PORT = Endpoint("127.0.0.1", 0)
PRIVATE = "1.0.0.10.in-addr.arpa"


class Site:
    """A plane behind a resolver of ours, with what it recorded."""

    def __init__(self, policy, *, secret=None, clock=time.time, **settings):
        self.upstream = WilfulResolver()
        self.events = []
        self.metrics = Metrics()
        self.policy = PolicyHolder(policy)
        self._secret = secret
        self._clock = clock
        self._settings = settings

    async def __aenter__(self):
        await self.upstream.__aenter__()
        settings = DnsSettings(timeout_ms=300, **self._settings)
        upstreams = settings.upstreams or [self.upstream.endpoint]
        self.plane = DnsPlane(
            settings,
            upstreams,
            self.policy,
            self.events.append,
            self.metrics,
            self._clock,
            self._secret,
        )
        bound = await self.plane.listen([ANY_PORT])
        (self.endpoint,) = bound["dns"]
        return self

    async def __aexit__(self, *_):
        await self.plane.drain(1)
        await self.upstream.__aexit__()

    async def ask(self, name, qtype="A", **options):
        query = dns.message.make_query(name, qtype, use_edns=0, **options)
        return await dns.asyncquery.udp(
            query, self.endpoint.host, port=self.endpoint.port, timeout=5
        )

    @property
    def asked(self):
        return [name for _, name, _ in self.upstream.queries]


def test_what_is_cached_is_not_asked_again(run, policy_from):
    async def scenario():
        async with Site(policy_from(POLICY)) as site:
            for _ in range(4):
                assert (await site.ask("www.example.org")).answer
            assert site.asked == ["www.example.org."]
            counted = {
                labels[0]: cell.value for labels, cell in site.metrics.dns_answers.cells.items()
            }
            assert (counted["upstream"], counted["cache"]) == (1, 3)

    run(scenario())


def test_the_settings_say_how_long_answers_are_kept(run, policy_from, clock):
    async def scenario():
        async with Site(policy_from(POLICY), clock=clock, cache={"max_ttl_seconds": 9}) as site:
            await site.ask("www.example.org")
            assert (await site.ask("www.example.org")).answer[0].ttl == 9
            clock.advance(10)
            await site.ask("www.example.org")
            assert len(site.asked) == 2

    run(scenario())


def test_record_and_what_the_quick_road_noted_are_all_there_is(run, policy_from):
    async def scenario():
        async with Site(policy_from(POLICY)) as site:
            for _ in range(5):
                assert (await site.ask(BLOCKED)).rcode() == dns.rcode.NXDOMAIN
            events = site.events + site.plane.drain_events()
            assert [event.occurrences for event in events] == [1, 4]
            assert {(event.name, event.client) for event in events} == {(BLOCKED, "127.0.0.1")}
            assert site.plane.drain_events() == []

    run(scenario())


def test_a_reload_blocks_what_was_answered(run, policy_from):
    async def scenario():
        async with Site(policy_from(POLICY)) as site:
            for _ in range(3):
                assert (await site.ask("www.example.org")).answer
            site.policy.current = policy_from(
                POLICY + "rules: [{id: new, action: block, match: {names: [www.example.org]}}]"
            )
            for _ in range(3):
                assert (await site.ask("www.example.org")).rcode() == dns.rcode.NXDOMAIN

    run(scenario())


def test_who_was_told_an_address_is_known_on_either_road(run, policy_from):
    async def scenario():
        async with Site(policy_from(POLICY)) as site:
            client, address = ip_address("127.0.0.1"), ip_address("192.0.0.0")
            assert not site.plane.bindings.holds(client, "www.example.org", address, time.time())
            for _ in range(3):
                await site.ask("www.example.org")
                assert site.plane.bindings.holds(client, "www.example.org", address, time.time())

    run(scenario())


def test_the_gate_finds_addresses_by_the_same_upstreams(run, policy_from):
    async def scenario():
        async with Site(policy_from(POLICY)) as site:
            resolved = await site.plane.resolve("www.example.org", ip_address("127.0.0.1"))
            assert ip_address("192.0.0.0") in resolved.addresses

    run(scenario())


def test_private_addresses_are_the_business_of_a_resolver_inside(run, policy_from):
    async def scenario():
        async with Site(policy_from(POLICY)) as site:
            await site.ask(PRIVATE, "PTR")
            assert site.asked == [f"{PRIVATE}."]
            assert (await site.ask("secret.onion")).rcode() == dns.rcode.NXDOMAIN
            assert len(site.asked) == 1

    run(scenario())


def test_private_addresses_are_not_told_to_a_resolver_outside(run, policy_from):
    async def scenario():
        outside = {"upstreams": ["198.51.100.53"], "total_timeout_ms": 500}
        async with Site(policy_from(POLICY), **outside) as site:
            assert (await site.ask(PRIVATE, "PTR")).rcode() == dns.rcode.NXDOMAIN

    run(scenario())


def test_special_names_go_to_the_upstreams_named_for_them(run, policy_from):
    async def scenario():
        async with WilfulResolver() as inside:
            forward = [{"suffixes": ["corp.test"], "upstreams": [str(inside.endpoint)]}]
            async with Site(policy_from(POLICY), forward=forward) as site:
                assert (await site.ask("host.corp.test")).answer
                assert (await site.ask("host.other.test")).rcode() == dns.rcode.NXDOMAIN
                assert site.asked == []

    run(scenario())


def test_processes_of_one_secret_know_each_others_cookies(run, policy_from):
    async def scenario():
        required = {"require_cookies": True}
        policy = policy_from(POLICY)
        async with (
            Site(policy, secret=b"s" * 16, **required) as one,
            Site(policy, secret=b"s" * 16, **required) as other,
            Site(policy, **required) as stranger,
        ):
            cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
            refused = await one.ask(BLOCKED, options=[cookie])
            assert refused.rcode() == dns.rcode.BADCOOKIE
            given = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, refused.options[0].to_wire())
            assert (await other.ask(BLOCKED, options=[given])).rcode() == dns.rcode.NXDOMAIN
            assert (await stranger.ask(BLOCKED, options=[given])).rcode() == dns.rcode.BADCOOKIE

    run(scenario())


async def listen(policy, *arguments, **settings):
    plane = DnsPlane(
        DnsSettings(**settings),
        [],
        PolicyHolder(policy),
        lambda _: None,
        Metrics(),
        time.time,
    )
    try:
        return await plane.listen(*arguments)
    finally:
        await plane.drain(0)


def test_several_addresses_are_listened_on(run, policy_from):
    async def scenario():
        bound = await listen(policy_from(POLICY), [ANY_PORT, Endpoint("::1", 0)])
        assert [endpoint.host for endpoint in bound["dns"]] == ["127.0.0.1", "::1"]

    run(scenario())


def test_a_port_that_is_taken_is_said_with_a_remedy(run, policy_from):
    async def scenario():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = Endpoint(*taken.getsockname())
            with pytest.raises(ListenError, match=f"{endpoint}.*change listen.dns"):
                await listen(policy_from(POLICY), [ANY_PORT, endpoint])

    run(scenario())


def test_a_certificate_that_is_none_is_said_with_a_remedy(run, policy_from, tmp_path):
    async def scenario():
        bad = tmp_path / "bad.pem"
        bad.write_text("nothing")
        with pytest.raises(ListenError, match=r"change dns\.dot"):
            await listen(
                policy_from(POLICY),
                [ANY_PORT],
                [ANY_PORT],
                dot={"certificate": bad, "key": bad},
            )

    run(scenario())


def test_a_second_process_joins_the_port_of_the_first(run, policy_from):
    async def scenario():
        policy = policy_from(POLICY)
        planes = [
            DnsPlane(DnsSettings(), [], PolicyHolder(policy), lambda _: None, Metrics(), time.time)
            for _ in range(2)
        ]
        async with contextlib.AsyncExitStack() as ends:
            for plane in planes:
                ends.push_async_callback(plane.drain, 0)
            first = await planes[0].listen([ANY_PORT], share=SharePort.FIRST)
            assert await planes[1].listen(first["dns"], share=SharePort.JOIN) == first

    run(scenario())
