"""Two ends of a channel, on either loop."""

import asyncio
import socket

from enforcer.workers.channel import open_channel


def test_both_ends_hear_each_other_until_one_closes(run):
    run(_hear_each_other())


async def _hear_each_other():
    one, other = [await open_channel(end) for end in socket.socketpair()]
    one.send({"number": 1})
    one.send({"number": 2})
    other.send({"number": 3})

    messages = one.receive()
    assert await anext(messages) == {"number": 3}
    await one.close(1)

    assert [message async for message in other.receive()] == [{"number": 1}, {"number": 2}]
    other.send({"number": 4})
    await other.close()


def test_who_does_not_read_is_noticed_until_it_reads(run):
    run(_fill_and_read())


async def _fill_and_read():
    one, other = [await open_channel(end) for end in socket.socketpair()]
    text = {"text": "x" * 400_000}
    while not one.congested:
        one.send(text)

    messages = other.receive()
    while one.congested:
        assert await anext(messages) == text
        one.send({})

    await messages.aclose()
    await one.close()
    await other.close()


def test_closing_does_not_wait_for_who_does_not_read(run):
    run(_close_on_who_does_not_read())


async def _close_on_who_does_not_read():
    one, other = [await open_channel(end) for end in socket.socketpair()]
    while not one.congested:
        one.send({"text": "x" * 400_000})

    async with asyncio.timeout(1):
        await one.close(0.05)

    await other.close()
