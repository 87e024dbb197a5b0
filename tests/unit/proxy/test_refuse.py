"""What each entrance answers, and whom a close does not wait for."""

import asyncio
from typing import NamedTuple

import pytest
from unit.proxy.fake_transport import FakeTransport

from enforcer.policy.model import Plane
from enforcer.proxy import entrances
from enforcer.proxy.entrances import ProxyError
from enforcer.proxy.refuse import build_answer, close
from enforcer.tls.first_bytes import AlertDescription

HELLO = b"\x16\x03\x01\x02\x00"


class Why(NamedTuple):
    error: ProxyError = entrances.DENIED
    details: str = "closed here"
    alert: AlertDescription = AlertDescription.UNRECOGNIZED_NAME


@pytest.mark.parametrize(
    ("plane", "said_yes", "words", "answer"),
    [
        (Plane.SOCKS5, False, HELLO, b"\x05\x02\x00\x01"),
        (Plane.CONNECT, False, HELLO, b"HTTP/1.1 403 Forbidden\r\n"),
        (Plane.SOCKS5, True, HELLO, b"\x15\x03\x03\x00\x02\x02\x70"),
        (Plane.TLS, True, HELLO, b"\x15\x03\x03\x00\x02\x02\x70"),
    ],
)
def test_a_refusal_is_in_the_clients_words(plane, said_yes, words, answer):
    assert build_answer(Why(), plane, said_yes=said_yes, words=words).startswith(answer)


@pytest.mark.parametrize("words", [b"", b"\x16", b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\r\n"])
def test_what_is_no_tls_gets_no_answer_in_a_tunnel(words):
    assert build_answer(Why(), Plane.CONNECT, said_yes=True, words=words) == b""


class Slow(FakeTransport):
    """Whose buffer is as full as ``sizes`` say, one after the other."""

    def __init__(self, *sizes):
        super().__init__()
        self.sizes = list(sizes)

    def get_write_buffer_size(self):
        return self.sizes.pop(0)


async def never():
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("sizes", [[0], [9, 9], [9, 5, 1, 1], [9, 0]])
async def test_a_close_waits_for_as_long_as_the_client_reads(sizes):
    transport = Slow(*sizes)
    await close(transport, never, 0.001)
    assert transport.said == ["close", "abort"]
    assert not transport.sizes


async def test_a_close_that_is_cancelled_is_a_close():
    transport = Slow(9)
    closing = asyncio.ensure_future(close(transport, never, 60))
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    assert transport.said == ["close", "abort"]
