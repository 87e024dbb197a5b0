import asyncio

import pytest
from unit.proxy.fake_transport import FakeTransport

from enforcer.proxy.collector import Collector


@pytest.fixture
def collector():
    made = Collector(10)
    made.connection_made(FakeTransport())
    return made


def test_it_stops_reading_past_its_limit_and_goes_on_when_bytes_are_taken(collector):
    collector.data_received(b"0123456789")
    assert collector.transport.reading
    collector.data_received(b"a")
    assert not collector.transport.reading
    collector.take(5)
    assert collector.buffer == b"56789a"
    assert collector.transport.reading


async def test_more_waits_for_bytes(collector):
    waiting = asyncio.ensure_future(collector.more())
    await asyncio.sleep(0)
    assert not waiting.done()
    collector.data_received(b"x")
    assert await waiting


@pytest.mark.parametrize("lost", [True, False])
async def test_more_is_false_when_none_will_come(collector, lost):
    waiting = asyncio.ensure_future(collector.more())
    await asyncio.sleep(0)
    if lost:
        collector.connection_lost(None)
    else:
        assert collector.eof_received()  # the other direction stays open
    assert not await waiting
    assert not await collector.more()
    assert collector.lost == lost


async def test_more_is_false_when_the_limit_is_reached(collector):
    collector.data_received(bytes(11))
    assert not await collector.more()


def test_nothing_is_read_again_after_the_end(collector):
    collector.data_received(bytes(11))
    collector.eof_received()
    collector.take(11)
    assert not collector.transport.reading
