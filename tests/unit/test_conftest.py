"""The guard itself: a unit test cannot reach the network by accident."""

import asyncio
import socket

import pytest


@pytest.mark.parametrize("family", [-1, socket.AF_INET, socket.AF_INET6])
def test_a_unit_test_cannot_open_a_network_socket(family):
    with pytest.raises(pytest.fail.Exception, match="integration test"):
        socket.socket(family, socket.SOCK_STREAM)


async def test_a_unit_test_cannot_listen():
    with pytest.raises(pytest.fail.Exception, match="integration test"):
        await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)


async def test_an_event_loop_still_works():
    """asyncio wakes its loop by a socketpair."""
    assert await asyncio.to_thread(lambda: 42) == 42
    left, right = socket.socketpair()
    with left, right:
        left.send(b"x")
        assert right.recv(1) == b"x"


def test_the_clock_moves_only_when_told(clock):
    start = clock()
    assert clock() == start
    clock.advance(1.5)
    assert clock() == start + 1.5
