"""The DNS plane on loopback, on both event loops: dig asks, a wilful upstream answers."""

import asyncio
import socket
import time

import pytest
from integration.dns_harness import BLOCKED, POLICY, Gateway, becomes_true, dig

from enforcer.dns.responder import Responder
from enforcer.dns.serving.server import DnsServer
from enforcer.dns.upstream.forwarder import Forwarder
from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.upstream import Upstream

LOOPBACK = ["127.0.0.1", "::1"]


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_dig_sees_why_a_default_name_does_not_resolve(run, policy_from, host, transport):
    async def scenario():
        async with Gateway(policy_from(POLICY), host=host) as gateway:
            output = await dig(gateway, transport, BLOCKED)
            assert "status: NXDOMAIN" in output
            assert "EDE: 15 (Blocked)" in output
            assert "use connect.example.com:443" in output
            assert "SOA\tenforcer.invalid." in output

    run(scenario())


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_other_names_resolve(run, policy_from, host, transport):
    async def scenario():
        async with Gateway(policy_from(POLICY), host=host) as gateway:
            assert "192.0.0.0" in await dig(gateway, transport, "WWW.example.org")

    run(scenario())


def test_large_answers_come_over_tcp_on_both_sides(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            output = await dig(gateway, "big.example.org", "+short")
            assert output.count("192.0.") == 400
            assert {transport for transport, *_ in gateway.upstream.queries} == {"udp", "tcp"}
            output = await dig(gateway, "big.example.org", "+ignore")
            assert "flags: qr tc rd ra" in output

    run(scenario())


def test_only_the_reply_that_matches_is_believed(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            assert "192.0.0.0" in await dig(gateway, "spoofed.example.org")

    run(scenario())


def test_silent_upstream_gives_way_to_the_next(run, policy_from):
    async def scenario():
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        silent.bind(("127.0.0.1", 0))
        with silent:
            upstreams = [Upstream(*silent.getsockname())]
            async with Gateway(policy_from(POLICY), upstreams) as gateway:
                assert "192.0.0.0" in await dig(gateway, "www.example.org")
                timeouts = gateway.metrics.dns_upstream_queries.cell(str(upstreams[0]), "timeout")
                await becomes_true(lambda: timeouts.value == 1)

    run(scenario())


@pytest.mark.parametrize("name", ["silent.example.org", "garbage.example.org"])
def test_upstream_that_gives_no_answer_is_a_failure_that_says_so(run, policy_from, name):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            output = await dig(gateway, name)
            assert "status: SERVFAIL" in output
            assert "EDE: " in output

    run(scenario())


def test_upstream_that_is_not_there_gives_way_at_once(run, policy_from):
    async def scenario():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = Upstream(*closed.getsockname())
        async with Gateway(policy_from(POLICY), [nobody], timeout_s=10) as gateway:
            assert "192.0.0.0" in await dig(gateway, "www.example.org")
            assert gateway.metrics.dns_upstream_queries.cell(str(nobody), "unreachable").value == 1

    run(scenario())


def test_more_waiting_queries_than_there_is_room_for_are_told_so(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY), timeout_s=1, max_waiting=1) as gateway:
            waiting = asyncio.ensure_future(dig(gateway, "silent.example.org"))
            await becomes_true(lambda: gateway.upstream.queries)
            assert "too many queries" in await dig(gateway, "www.example.org")
            assert "NXDOMAIN" in await dig(gateway, BLOCKED)
            await waiting

    run(scenario())


def test_drain_answers_what_waits(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            waiting = asyncio.ensure_future(dig(gateway, "silent.example.org"))
            await becomes_true(lambda: gateway.upstream.queries)
            await gateway.server.drain(5)
            assert "SERVFAIL" in await waiting

    run(scenario())


def test_port_that_is_taken_leaves_nothing_open(run, policy_from):
    async def scenario():
        taken = socket.create_server(("127.0.0.1", 0))
        with taken:
            metrics = Metrics()
            responder = Responder(PolicyHolder(policy_from(POLICY)), lambda _: None, metrics)
            server = DnsServer(
                responder, Forwarder((), timeout_s=1, metrics=metrics), metrics, time.time
            )
            endpoint = Endpoint(*taken.getsockname())
            with pytest.raises(OSError, match="in use"):
                await server.listen(endpoint)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.bind(tuple(endpoint))

    run(scenario())
