"""The admin listener on loopback: where it listens, and what it does not put up with."""

import asyncio
import signal
import socket

import pytest

from enforcer.admin.app import build_app
from enforcer.admin.server import MAX_CONNECTIONS, AdminServer
from enforcer.metrics import Metrics
from enforcer.settings.endpoint import Endpoint

LOOPBACK = Endpoint("127.0.0.1", 0)
GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
async def server():
    server = AdminServer(build_app(Metrics(), dict), lifetime_s=0.3)
    yield server
    await server.stop()


async def exchange(endpoint: Endpoint, sent: bytes) -> bytes:
    """All that is answered until the server closes."""
    reader, writer = await asyncio.open_connection(*endpoint)
    writer.write(sent)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_port_0_is_a_free_port_that_it_names(server):
    bound = await server.listen(LOOPBACK)

    assert bound.host == "127.0.0.1"
    assert bound.port != 0
    assert (await exchange(bound, GET)).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_it_listens_on_ipv6(server):
    bound = await server.listen(Endpoint("::1", 0))

    assert str(bound).startswith("[::1]:")
    assert b"200 OK" in await exchange(bound, GET)


async def test_a_port_in_use_is_an_oserror_that_says_so(server):
    bound = await server.listen(LOOPBACK)

    with pytest.raises(OSError, match="Address already in use") as raised:
        await server.listen(bound)
    assert raised.value.strerror == "Address already in use"


async def test_a_response_ends_its_connection(server):
    bound = await server.listen(LOOPBACK)

    answer = await exchange(bound, GET * 2)

    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in answer


async def test_head_has_headers_and_no_body(server):
    bound = await server.listen(LOOPBACK)

    answer = await exchange(bound, GET.replace(b"GET", b"HEAD"))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"200 OK" in head
    assert body == b""


async def test_a_silent_client_is_disconnected(server):
    bound = await server.listen(LOOPBACK)

    assert await exchange(bound, b"GET /hea") == b""


async def test_headers_without_end_are_refused(server):
    bound = await server.listen(LOOPBACK)

    answer = await exchange(bound, b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000)

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


async def test_what_is_not_http_is_refused_and_not_logged(server, caplog):
    bound = await server.listen(LOOPBACK)

    assert (await exchange(bound, b"\x16\x03\x01\x00\x05hello\r\n\r\n")).startswith(b"HTTP/1.1 400")
    assert not caplog.records


async def test_too_many_connections_are_not_taken(server):
    bound = await server.listen(LOOPBACK)
    held = [await asyncio.open_connection(*bound) for _ in range(MAX_CONNECTIONS)]

    assert await exchange(bound, GET) == b""

    for _, writer in held:
        writer.close()
    await asyncio.sleep(0.05)
    assert b"200 OK" in await exchange(bound, GET)


async def test_it_leaves_the_signals_alone(server):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    await server.listen(LOOPBACK)

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_stop_closes_the_listener_and_may_be_called_again(server):
    bound = await server.listen(LOOPBACK)

    await server.stop()
    await server.stop()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*bound)


async def test_stop_does_not_wait_for_a_silent_client(server):
    bound = await server.listen(LOOPBACK)
    _, writer = await asyncio.open_connection(*bound)

    async with asyncio.timeout(2):
        await server.stop()
    writer.close()
