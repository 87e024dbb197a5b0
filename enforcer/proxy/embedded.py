"""mitmproxy in this process, for the plain HTTP that the gate hands over.

The gate owns the listeners; mitmproxy gets accepted connections with the bytes read so
far, through a server instance of its own regular mode that is never started.
Imported only where a gateway runs: mitmproxy takes most of a second to load.
"""

import asyncio
import contextlib
import logging
import math
from typing import Any

from mitmproxy import connection, http, master, options
from mitmproxy.addons import next_layer, proxyserver
from mitmproxy.proxy.mode_servers import ServerInstance
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from enforcer.proxy import refuse
from enforcer.proxy.addon import PolicyAddon
from enforcer.proxy.collector import Collector
from enforcer.proxy.entrances import MAX_HEAD_BYTES

# Bodies above this pass through instead of being held in memory.
STREAM_ABOVE = "64k"
# What mitmproxy says of each connection at "info" stands in our own records.
LOG_LEVEL = logging.WARNING
# A client that has sent as much as it may is let go when nothing came of it for so long.
STALLED_AFTER_S = 10.0


class EmbeddedProxy:
    """mitmproxy without listeners; one per process, since mitmproxy keeps globals."""

    def __init__(
        self,
        addon: PolicyAddon,
        *,
        connect_timeout_s: float,
        stalled_after_s: float = STALLED_AFTER_S,
    ) -> None:
        self._stalled_after_s = stalled_after_s
        logging.getLogger("mitmproxy").setLevel(LOG_LEVEL)
        self._server = proxyserver.Proxyserver()
        self._master = master.Master(options.Options())
        # In this order: a body is read when the policy has let its request pass.
        self._master.addons.add(
            self._server,
            next_layer.NextLayer(),
            addon,
            ReadLimit(self._server),
            ConnectLimit(connect_timeout_s),
        )
        self._master.options.update(
            server=False,
            mode=[],
            connection_strategy="lazy",
            stream_large_bodies=STREAM_ABOVE,
        )
        self._instance: ServerInstance[Any] = ServerInstance.make("regular", self._server)

    async def start(self) -> None:
        # Not Master.run: it would set its own exception handler, and from 12 on its own
        # task factory, for all of this process' event loop.
        await self._master.running()

    async def hand_over(self, client: Collector) -> None:
        """Serve one connection to its end."""
        loop = asyncio.get_running_loop()
        reader = LimitedReader(loop, self._stalled_after_s)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        client.transport.set_protocol(protocol)
        protocol.connection_made(client.transport)
        if client.eof:
            reader.feed_data(bytes(client.buffer))
            reader.feed_eof()
        else:
            client.transport.resume_reading()
            reader.feed_data(bytes(client.buffer))
        client.buffer.clear()
        writer = asyncio.StreamWriter(client.transport, protocol, reader, loop)
        serving = loop.create_task(self._instance.handle_stream(reader, writer))
        try:
            # Shielded: mitmproxy cleans up only when its own inner task is cancelled.
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            reader.end()
            client.transport.abort()
            await asyncio.wait([serving])
            raise

        async def gone() -> None:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        await refuse.close(client.transport, gone, self._stalled_after_s)

    async def stop(self) -> None:
        await self._master.done()


class LimitedReader(asyncio.StreamReader):
    """Reads ahead of mitmproxy's work no further than a request head may be long.

    mitmproxy (as of 12) by itself collects a head of any size before it looks at it, and
    goes on reading while a hook runs or an answer is awaited.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stalled_after_s: float) -> None:
        super().__init__(loop=loop)
        self._stalled_after_s = stalled_after_s
        self._credit_bytes: float = MAX_HEAD_BYTES
        self._granted = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    async def read(self, n: int = -1) -> bytes:
        self._task = asyncio.current_task()
        if self._credit_bytes <= 0:
            self._granted.clear()
            try:
                async with asyncio.timeout(self._stalled_after_s):
                    await self._granted.wait()
            except TimeoutError:
                return b""
        data = await super().read(n)
        self._credit_bytes -= len(data)
        return data

    def grant(self, credit_bytes: float) -> None:
        """How much may be read until there is progress again."""
        self._credit_bytes = credit_bytes
        self._granted.set()

    def end(self) -> None:
        """End the task that reads, as mitmproxy does when a client is idle for too long."""
        if self._task:
            self._task.cancel()


class ReadLimit:
    """Tells each reader when there is progress."""

    def __init__(self, server: proxyserver.Proxyserver) -> None:
        self._server = server

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._grant(flow.client_conn, math.inf)

    def request(self, flow: http.HTTPFlow) -> None:
        self._grant(flow.client_conn, MAX_HEAD_BYTES)

    def response(self, flow: http.HTTPFlow) -> None:
        if flow.request.timestamp_end:  # else it came early, and the body goes on
            self._grant(flow.client_conn, MAX_HEAD_BYTES)

    def _grant(self, client: connection.Client, credit_bytes: float) -> None:
        handler = self._server.connections.get(client.id)
        stream = handler.transports.get(client) if handler else None
        reader = stream.reader if stream else None
        if isinstance(reader, LimitedReader):
            reader.grant(credit_bytes)


class ConnectLimit:
    """Gives up on a destination that does not accept; mitmproxy waits as long as the kernel."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def server_connect(self, data: ServerConnectionHookData) -> None:
        # The hook runs in the task that is about to connect. Cancelled while it does, it
        # answers 502 (open_connection in mitmproxy/proxy/server.py).
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 hooks run in tasks
        loop = asyncio.get_running_loop()
        self._timers[data.server.id] = loop.call_later(self._timeout_s, task.cancel)

    def server_connected(self, data: ServerConnectionHookData) -> None:
        self._connected_or_not(data)

    def server_connect_error(self, data: ServerConnectionHookData) -> None:
        self._connected_or_not(data)

    def _connected_or_not(self, data: ServerConnectionHookData) -> None:
        timer = self._timers.pop(data.server.id, None)
        if timer:
            timer.cancel()
