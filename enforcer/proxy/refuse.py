"""How a flow ends when it comes to nothing: what to answer, and a client that may not read it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from enforcer.policy.model import Plane
from enforcer.policy.model import Protocol as Spoken
from enforcer.proxy import entrances
from enforcer.proxy.collector import Collector
from enforcer.proxy.entrances import ProxyError
from enforcer.tls.first_bytes import AlertDescription, build_alert, sniff

# Closing while bytes are still coming in would make the kernel send RST, and a client
# that gets RST may never read why it was refused.
LINGER_S = 1.0


class Why(Protocol):
    """What a refusal says, in the words of each entrance."""

    @property
    def error(self) -> ProxyError: ...
    @property
    def details(self) -> str: ...
    @property
    def alert(self) -> AlertDescription: ...


def build_answer(why: Why, plane: Plane, *, said_yes: bool, words: bytes | bytearray) -> bytes:
    """The refusal as the client understands it; nothing when no answer would be one.

    Before the yes the entrance has its own; after it only what the client speaks counts.
    """
    if not said_yes:
        if plane is Plane.SOCKS5:
            return entrances.build_socks_reply(why.error.socks)
        return entrances.build_http_refusal(why.error, why.details)
    return build_alert(why.alert) if sniff(words) is Spoken.TLS else b""


async def answer_and_wait(client: Collector, answer: bytes) -> None:
    """Write the last words, and give the client LINGER_S to read them."""
    transport = client.transport
    if not answer or client.lost or transport.is_closing():
        return
    transport.write(answer)
    transport.write_eof()
    try:
        async with asyncio.timeout(LINGER_S):
            client.take(len(client.buffer))
            while await client.more():
                client.take(len(client.buffer))
    except TimeoutError:
        pass


async def close(
    transport: asyncio.Transport, gone: Callable[[], Awaitable[None]], stalled_after_s: float
) -> None:
    """Close when all is written, or cut off a client that has stopped reading for so long.

    A transport by itself waits for ever, and keeps its descriptor. ``gone`` returns when the
    connection is no more.
    """
    transport.close()
    left = transport.get_write_buffer_size()
    try:
        while left:
            try:
                async with asyncio.timeout(stalled_after_s):
                    await gone()
                    return
            except TimeoutError:
                before, left = left, transport.get_write_buffer_size()
                if left >= before:
                    return
    finally:
        transport.abort()
