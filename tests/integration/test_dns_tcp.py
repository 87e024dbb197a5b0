"""Streams of DNS messages: pipelined, in any order, bounded, and idle ones closed."""

import asyncio
import contextlib
import socket
from ipaddress import ip_network

import dns.asyncquery
import dns.message
import dns.rcode
import pytest
from integration.dns_harness import (
    BLOCKED,
    POLICY,
    Gateway,
    becomes_true,
    dig,
    framed,
    read_message,
    tcp_query,
)

from enforcer.dns.serving.access import Access
from enforcer.dns.serving.tcp import StreamLimits

IMPATIENT = StreamLimits(idle_s=0.2)


def test_queries_on_one_connection_are_answered_as_they_are_ready(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            reader, writer = await asyncio.open_connection(*gateway.endpoint)
            names = ["silent.example.org", BLOCKED, "www.example.org"]
            data = b"".join(map(framed, names))
            for at in range(0, len(data), 7):  # split anywhere
                writer.write(data[at : at + 7])
                await asyncio.sleep(0)
            writer.write_eof()
            answers = [await read_message(reader) for _ in names]
            order = [answer.question[0].name.to_text().strip(".") for answer in answers]
            assert set(order[:2]) == {BLOCKED, "www.example.org"}
            assert order[2] == "silent.example.org"
            assert await reader.read() == b""
            writer.close()

    run(scenario())


def test_more_pipelined_queries_than_the_limit_are_all_answered(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY), timeout_s=5) as gateway:
            reader, writer = await asyncio.open_connection(*gateway.endpoint)
            count = 4 * StreamLimits().pipelined
            writer.write(b"".join(framed(f"n{number}.example.org") for number in range(count)))
            writer.write_eof()
            names = {(await read_message(reader)).question[0].name for _ in range(count)}
            assert len(names) == count
            assert await reader.read() == b""
            writer.close()

    run(scenario())


@pytest.mark.parametrize("data", [b"\0\0\0", b"\0\5hello", b"GET / HTTP/1.1\r\n\r\n"])
def test_connection_that_speaks_no_dns_is_closed(run, policy_from, data):
    async def scenario():
        async with Gateway(policy_from(POLICY), limits=IMPATIENT) as gateway:
            reader, writer = await asyncio.open_connection(*gateway.endpoint)
            writer.write(data)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            assert "NXDOMAIN" in await dig(gateway, BLOCKED)

    run(scenario())


def test_client_that_drips_bytes_is_idle(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY), limits=IMPATIENT) as gateway:
            reader, writer = await asyncio.open_connection(*gateway.endpoint)
            ended = asyncio.ensure_future(reader.read())
            for byte in framed(BLOCKED)[:-1]:
                if not ended.done():
                    writer.write(bytes((byte,)))
                    await asyncio.sleep(0.02)
            with contextlib.suppress(ConnectionResetError):
                assert await ended == b""
            writer.close()
            assert not gateway.server.connections

    run(scenario())


def test_client_that_does_not_read_loses_its_connection(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY), limits=IMPATIENT) as gateway:
            loop = asyncio.get_running_loop()
            with socket.socket() as client:
                client.setblocking(False)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                await loop.sock_connect(client, tuple(gateway.endpoint))
                with contextlib.suppress(TimeoutError, OSError):
                    async with asyncio.timeout(1):
                        while True:
                            await loop.sock_sendall(client, framed(BLOCKED) * 100)
                await becomes_true(lambda: not gateway.server.connections)

    run(scenario())


@pytest.mark.parametrize(
    "limits", [StreamLimits(connections=2), StreamLimits(connections_per_client=2)]
)
def test_too_many_connections_are_closed_at_once(run, policy_from, limits):
    async def scenario():
        async with Gateway(policy_from(POLICY), limits=limits) as gateway:
            held = [await asyncio.open_connection(*gateway.endpoint) for _ in range(2)]
            await tcp_fails(gateway)
            assert gateway.metrics.dns_discarded.cell("too_many_connections").value == 1
            assert gateway.metrics.dns_open_connections.cell().value == 2
            for _, writer in held:
                writer.close()
            await becomes_true(lambda: not gateway.server.connections)
            assert (await tcp_query(gateway, BLOCKED)).rcode() == dns.rcode.NXDOMAIN

    run(scenario())


def test_strangers_do_not_keep_out_those_who_may_ask(run, policy_from):
    """127.0.0.2 may ask, 127.0.0.1 may not, and holds what it is let hold."""

    async def scenario():
        access = Access((ip_network("127.0.0.2/32"),))
        limits = StreamLimits(connections=20)
        async with Gateway(policy_from(POLICY), limits=limits, access=access) as gateway:
            strangers = [await asyncio.open_connection(*gateway.endpoint) for _ in range(5)]
            cell = gateway.metrics.dns_discarded.cell("too_many_connections")
            await becomes_true(lambda: cell.value == 3)
            assert len(gateway.server.connections) == 2
            answer = await dns.asyncquery.tcp(
                dns.message.make_query(BLOCKED, "A"),
                gateway.endpoint.host,
                port=gateway.endpoint.port,
                source="127.0.0.2",
                timeout=2,
            )
            assert answer.rcode() == dns.rcode.NXDOMAIN
            for _, writer in strangers:
                writer.close()

    run(scenario())


async def tcp_fails(gateway):
    with pytest.raises((EOFError, OSError)):
        await tcp_query(gateway, BLOCKED)


def test_who_asks_is_told_how_long_a_connection_may_be_idle(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            assert "TCP KEEPALIVE: 10.0 secs" in await dig(gateway, BLOCKED, "+tcp", "+keepalive")
            assert "KEEPALIVE:" not in await dig(gateway, BLOCKED, "+tcp")
            # Over UDP it means nothing (RFC 7828 3.2.1).
            assert "KEEPALIVE:" not in await dig(gateway, BLOCKED, "+keepalive")

    run(scenario())


def test_each_packet_that_has_an_answer_gets_it_over_tcp_too(run, policy_from):
    """And what has none ends the connection: nothing after it would be understood."""

    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            for data in (b"\0\x0c" + bytes(12), b"\0\x0c" + b"\xff" * 12):
                reader, writer = await asyncio.open_connection(*gateway.endpoint)
                writer.write(data)
                answer = await reader.read(100)
                assert (answer[-9] & 0xF == 1) if data[-1] == 0 else answer == b""
                writer.close()

    run(scenario())
