"""Who asks: strangers, clients that ask too often, and proxies that ask for others."""

import asyncio
import re
import shutil
import socket
import struct
import subprocess
import time

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest
from integration.dns_harness import BLOCKED, POLICY, Gateway, becomes_true, dig, framed, tcp_query

from enforcer.dns.serving import server
from enforcer.dns.serving.access import Access
from enforcer.dns.serving.proxy_header import SIGNATURE
from enforcer.dns.serving.rate import RateLimit
from enforcer.policy.addresses import parse_network

NOBODY = Access(())
LOOPBACK = Access([parse_network("127.0.0.0/8")])
PRIVATE_AND_DESKS = Access([parse_network("10.0.0.0/8")])


def discarded(gateway, reason):
    return gateway.metrics.dns_discarded.cell(reason).value


def proxied(client, command=1):
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    packed = socket.inet_pton(family, client) * 2 + struct.pack("!2H", 5300, 53)
    kind = 0x22 if family == socket.AF_INET6 else 0x12
    return SIGNATURE + struct.pack("!2BH", 0x20 | command, kind, len(packed)) + packed


async def datagram(gateway, data, timeout_s=2):
    """The answer to one datagram, or None."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(tuple(gateway.endpoint))
        await loop.sock_sendall(client, data)
        try:
            return dns.message.from_wire(
                await asyncio.wait_for(loop.sock_recv(client, 65535), timeout_s)
            )
        except TimeoutError:
            return None


def packet(name=BLOCKED):
    return dns.message.make_query(name, "A", use_edns=0).to_wire()


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_a_stranger_is_refused_and_nothing_is_asked_for_it(run, policy_from, transport, caplog):
    async def scenario():
        async with Gateway(policy_from(POLICY), access=NOBODY) as gateway:
            for name in (BLOCKED, "www.example.org"):
                output = await dig(gateway, transport, name)
                assert "status: REFUSED" in output
                assert "EDE: 18 (Prohibited)" in output
            assert discarded(gateway, "prohibited") == 2
            assert gateway.upstream.queries == []

    run(scenario())
    (told,) = (record for record in caplog.records if record.name == server.__name__)
    assert told.getMessage() == "DNS: 127.0.0.1 is refused, it is not in dns.allow_from"


def test_who_asks_too_often_by_udp_hears_now_and_then_to_come_by_tcp(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY), rate=RateLimit(0.01)) as gateway:
            assert (await datagram(gateway, packet())).rcode() == dns.rcode.NXDOMAIN
            answer = await datagram(gateway, packet())
            assert answer.flags & dns.flags.TC
            assert not answer.authority
            assert await datagram(gateway, packet(), timeout_s=0.1) is None
            # A forged address does not close TCP to its owner.
            assert (await tcp_query(gateway, BLOCKED)).rcode() == dns.rcode.NXDOMAIN
            assert (await tcp_query(gateway, BLOCKED)).rcode() == dns.rcode.REFUSED
            assert discarded(gateway, "rate_limited") == 3

    run(scenario())


@pytest.mark.parametrize("client", ["10.0.0.9", "192.0.2.9"])
def test_a_proxy_says_in_each_datagram_who_asks(run, policy_from, client):
    async def scenario():
        async with Gateway(
            policy_from(POLICY), access=PRIVATE_AND_DESKS, proxies=LOOPBACK
        ) as gateway:
            answer = await datagram(gateway, proxied(client) + packet())
            allowed = client.startswith("10.")
            assert answer.rcode() == (dns.rcode.NXDOMAIN if allowed else dns.rcode.REFUSED)

    run(scenario())


def test_a_proxy_that_does_not_say_is_not_answered(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY), proxies=LOOPBACK) as gateway:
            assert await datagram(gateway, packet(), timeout_s=0.1) is None
            assert await datagram(gateway, proxied("10.0.0.9")[:20], timeout_s=0.1) is None
            assert discarded(gateway, "proxy_header") == 2
            # For itself it is whoever it is.
            answer = await datagram(gateway, proxied("192.0.2.9", command=0) + packet())
            assert answer.rcode() == dns.rcode.NXDOMAIN

    run(scenario())


def test_nobody_else_may_choose_its_address(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            answer = await datagram(gateway, proxied("10.0.0.9") + packet(), timeout_s=0.1)
            assert answer is None or answer.rcode() != dns.rcode.NXDOMAIN

    run(scenario())


@pytest.mark.parametrize("pieces", [1, 1000])
def test_a_proxy_says_at_the_start_of_a_stream_who_asks(run, policy_from, pieces):
    async def scenario():
        async with Gateway(
            policy_from(POLICY), access=PRIVATE_AND_DESKS, proxies=LOOPBACK
        ) as gateway:
            for client, rcode in (("10.0.0.9", 3), ("192.0.2.9", 5)):
                reader, writer = await asyncio.open_connection(*gateway.endpoint)
                data = proxied(client) + framed(BLOCKED) * 2
                step = max(1, len(data) // pieces)
                for at in range(0, len(data), step):
                    writer.write(data[at : at + step])
                    await asyncio.sleep(0)
                for _ in range(2):
                    length = struct.unpack("!H", await reader.readexactly(2))[0]
                    message = dns.message.from_wire(await reader.readexactly(length))
                    assert message.rcode() == rcode
                writer.close()

    run(scenario())


def test_a_stream_that_begins_otherwise_is_ended(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY), proxies=LOOPBACK) as gateway:
            with pytest.raises((EOFError, OSError)):
                await tcp_query(gateway, BLOCKED)
            assert discarded(gateway, "proxy_header") == 1
            await becomes_true(lambda: not len(gateway.server.connections))

    run(scenario())


@pytest.mark.parametrize("data", [b"", b"\0", b"\0" * 5000, b"\xff" * 1200])
def test_odd_datagrams_do_no_harm(run, policy_from, data):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            answer = await datagram(gateway, data, timeout_s=0.1)
            assert answer is None or answer.rcode() == dns.rcode.FORMERR
            assert (await datagram(gateway, packet())).rcode() == dns.rcode.NXDOMAIN

    run(scenario())


@pytest.mark.skipif(not shutil.which("dnsdist"), reason="dnsdist is not installed")
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_behind_dnsdist_the_client_is_known(run, policy_from, tmp_path, transport):
    """One desk may ask, the other may not; dnsdist speaks for both."""

    async def scenario():
        desk = Access([parse_network("127.0.0.7")])
        async with Gateway(
            policy_from(POLICY), access=desk, proxies=Access([parse_network("127.0.0.1")])
        ) as gateway:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            config = tmp_path / "dnsdist.conf"
            config.write_text(
                f'setLocal("127.0.0.1:{port}")\n'
                f'newServer({{address="{gateway.endpoint}", useProxyProtocol=true, '
                'healthCheckMode="up"})\n'
            )
            statuses = await asyncio.to_thread(ask_through_dnsdist, config, port, transport)
            assert statuses == {"127.0.0.7": "NXDOMAIN", "127.0.0.8": "REFUSED"}

    run(scenario())


def ask_through_dnsdist(config, port, transport):
    """What each client is told. In a thread, with all that waits."""
    argv = ["dnsdist", "--supervised", "--disable-syslog", "-C", str(config)]
    with config.with_name("log").open("wb") as log:
        dnsdist = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        return {
            client: dig_until_up(port, client, transport) for client in ("127.0.0.7", "127.0.0.8")
        }
    finally:
        dnsdist.terminate()
        dnsdist.wait(10)


def dig_until_up(port, client, transport):
    argv = ["dig", "@127.0.0.1", "-p", str(port), "-b", client, "+tries=1", "+time=1"]
    for _ in range(50):
        done = subprocess.run(
            [*argv, transport, BLOCKED], capture_output=True, text=True, timeout=15, check=False
        )
        if found := re.search(r"status: (\w+)", done.stdout):
            return found[1]
        time.sleep(0.1)
    return done.stdout
