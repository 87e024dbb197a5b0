"""TCP upstreams: few connections, used again, pipelined; and what a liar or a sluggard gets."""

import asyncio

import pytest
from integration.upstream_servers import (
    ANSWER,
    HOST,
    Client,
    framed,
    is_answer,
    query,
    question_of,
    right,
    stream_server,
)

from enforcer.dns.upstream import stream as upstream_stream
from enforcer.dns.upstream.stream import MAX_CONNECTIONS, PIPELINED


def test_a_connection_is_used_again(run):
    async def scenario():
        async with stream_server() as server, Client(server.upstream) as client:
            for number in range(10):
                name = f"n{number}.example"
                assert is_answer(await client.ask(name), query(name))
            assert server.connections == 1
            assert len({packet[:2] for packet in server.queries}) == 10

    run(scenario())


def test_queries_are_pipelined_and_answered_in_any_order(run):
    held = []

    async def all_at_once_backwards(server, packet, writer):
        held.append(packet)
        if len(held) == 20:
            for each in reversed(held):
                writer.write(framed(right(each)))

    async def scenario():
        held.clear()
        async with (
            stream_server(all_at_once_backwards) as server,
            Client(server.upstream) as client,
        ):
            names = [f"n{number}.example" for number in range(20)]
            replies = await asyncio.gather(*map(client.ask, names))
            for name, reply in zip(names, replies, strict=True):
                assert is_answer(reply, query(name))
            assert server.connections == 1

    run(scenario())


def test_more_connections_are_opened_for_more_queries_but_only_a_few(run):
    async def scenario():
        async with stream_server() as server, Client(server.upstream) as client:
            count = PIPELINED * (MAX_CONNECTIONS + 1)
            names = [f"n{number}.example" for number in range(count)]
            assert all(await asyncio.gather(*map(client.ask, names)))
            assert 1 < server.connections <= MAX_CONNECTIONS

    run(scenario())


def test_a_query_on_a_connection_that_was_just_closed_is_sent_again(run):
    async def scenario():
        async with stream_server() as server, Client(server.upstream) as client:
            assert await client.ask("first.example")
            server.drop_all()
            assert await client.ask("second.example")
            assert server.connections == 2
            assert client.ended("unreachable") == 0

    run(scenario())


def test_a_server_that_closes_after_each_query_does_not_keep_us_busy(run):
    async def close(server, packet, writer):
        writer.close()

    async def scenario():
        async with stream_server(close) as server, Client(server.upstream) as client:
            assert await client.ask() is None
            assert len(server.queries) == 4  # two attempts, each sent once more

    run(scenario())


def test_idle_connections_are_closed(run, monkeypatch):
    monkeypatch.setattr(upstream_stream, "IDLE_S", 0.05)

    async def scenario():
        async with stream_server() as server, Client(server.upstream) as client:
            assert await client.ask("first.example")
            await asyncio.sleep(0.2)
            assert await client.ask("second.example")
            assert server.connections == 2

    run(scenario())


def test_lies_are_ignored_and_counted_and_the_waiting_goes_on(run):
    async def lie(server, packet, writer):
        question = question_of(packet)
        other_id = bytes((packet[0] ^ 1,)) + right(packet)[1:]
        other_name = right(packet).replace(question, question[:1] + b"#" + question[2:])
        for message in (other_id, other_name, packet, right(packet)):
            writer.write(framed(message))

    async def scenario():
        async with stream_server(lie) as server, Client(server.upstream) as client:
            assert is_answer(await client.ask(), query())
            assert client.ignored() == {"other_id": 1, "other_question": 1, "malformed": 1}

    run(scenario())


def test_who_only_lies_loses_the_connection(run):
    async def lie(server, packet, writer):
        for number in range(1000):
            writer.write(framed(number.to_bytes(2, "big") + right(packet)[2:12]))

    async def scenario():
        async with stream_server(lie) as server, Client(server.upstream) as client:
            async with asyncio.timeout(1.5):
                assert await client.ask() is None
            assert client.ended("malformed") == 2
            assert sum(client.ignored().values()) < 50

    run(scenario())


@pytest.mark.parametrize("garbage", [b"\0\0", b"\0\x05hello", b"HTTP/1.1 400\r\n" * 5000])
def test_what_is_no_dns_ends_soon(run, garbage):
    async def talk(server, packet, writer):
        writer.write(garbage)

    async def scenario():
        async with (
            stream_server(talk) as server,
            Client(server.upstream, timeout_s=0.2, total_timeout_s=0.5) as client,
        ):
            async with asyncio.timeout(1):
                assert await client.ask() is None

    run(scenario())


def test_who_drips_bytes_is_left_in_time_and_for_good(run):
    async def drip(server, packet, writer):
        if server.connections > 1:
            writer.write(framed(right(packet)))
            return
        for byte in framed(right(packet) + b"\0" * 60_000):
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.01)

    async def scenario():
        async with (
            stream_server(drip) as server,
            Client(server.upstream, timeout_s=0.2, total_timeout_s=1.0) as client,
        ):
            first = asyncio.ensure_future(client.ask("first.example"))
            await asyncio.sleep(0.1)
            second = asyncio.ensure_future(client.ask("second.example"))
            async with asyncio.timeout(2):
                assert is_answer(await second, query("second.example"))
                await first
            assert client.ended("timeout") >= 1
            assert server.connections == 2

    run(scenario())


def test_an_upstream_that_is_not_there_is_known_at_once(run):
    async def scenario():
        async with stream_server() as server:
            upstream = server.upstream
        async with Client(upstream, timeout_s=10, total_timeout_s=20) as client:
            async with asyncio.timeout(2):
                assert await client.ask() is None
            assert client.ended("unreachable") == 2

    run(scenario())


def test_an_answer_of_any_size_comes_through(run):
    async def large(server, packet, writer):
        message = right(packet, answers=4000)
        data = framed(message)
        for start in range(0, len(data), 7919):
            writer.write(data[start : start + 7919])
            await writer.drain()

    async def scenario():
        async with stream_server(large) as server, Client(server.upstream) as client:
            reply = await client.ask()
            assert reply.endswith(ANSWER * 4000)
            assert server.upstream.host == HOST

    run(scenario())


def test_closing_while_connecting_leaves_nothing_behind(run):
    async def scenario():
        async with stream_server() as server:
            async with Client(server.upstream) as client:
                waiting = asyncio.ensure_future(client.ask())
                await asyncio.sleep(0)
            assert await waiting is None

    run(scenario())
