"""mitmproxy in this process, for the plain HTTP that the gate hands over.

The gate owns the listeners; mitmproxy gets accepted connections with the bytes read so
far, through a server instance of its own regular mode that is never started.
Imported only where a gateway runs: mitmproxy takes most of a second to load.
"""

import asyncio
import logging
from typing import Any

from mitmproxy import connection, http, master, options
from mitmproxy.addons import next_layer, proxyserver
from mitmproxy.proxy.mode_servers import ServerInstance

from enforcer.proxy.addon import PolicyAddon
from enforcer.proxy.collector import Collector
from enforcer.proxy.entrances import MAX_HEAD_BYTES

# Bodies above this pass through instead of being held in memory.
STREAM_ABOVE = "64k"
# What mitmproxy says of each connection at "info" stands in our own records.
LOG_LEVEL = logging.WARNING


class EmbeddedProxy:
    """mitmproxy without listeners; one per process, since mitmproxy keeps globals."""

    def __init__(self, addon: PolicyAddon) -> None:
        logging.getLogger("mitmproxy").setLevel(LOG_LEVEL)
        self._server = proxyserver.Proxyserver()
        self._master = master.Master(options.Options())
        heads = HeadLimit(self._server)
        self._master.addons.add(self._server, next_layer.NextLayer(), heads, addon)
        self._master.options.update(
            server=False,
            mode=[],
            connection_strategy="lazy",
            stream_large_bodies=STREAM_ABOVE,
        )
        self._instance: ServerInstance[Any] = ServerInstance.make("regular", self._server)
        self._run: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._run = asyncio.get_running_loop().create_task(self._master.run())

    async def hand_over(self, client: Collector) -> None:
        """Serve one connection to its end."""
        loop = asyncio.get_running_loop()
        reader = HeadLimitedReader(loop=loop)
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
        await self._instance.handle_stream(reader, writer)

    async def stop(self) -> None:
        self._master.shutdown()
        if self._run:
            await self._run


class HeadLimitedReader(asyncio.StreamReader):
    """Ends the stream of a client whose request head has no end.

    mitmproxy (as of 12) collects a head of any size before it looks at it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._head_bytes: int | None = 0

    async def read(self, n: int = -1) -> bytes:
        data = await super().read(n)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                return b""
        return data

    def head_began(self) -> None:
        self._head_bytes = 0

    def head_ended(self) -> None:
        self._head_bytes = None


class HeadLimit:
    """Tells each reader where in its requests it is."""

    def __init__(self, server: proxyserver.Proxyserver) -> None:
        self._server = server

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if reader := self._reader(flow.client_conn):
            reader.head_ended()

    def request(self, flow: http.HTTPFlow) -> None:
        if reader := self._reader(flow.client_conn):
            reader.head_began()

    def _reader(self, client: connection.Client) -> HeadLimitedReader | None:
        handler = self._server.connections.get(client.id)
        stream = handler.transports.get(client) if handler else None
        reader = stream.reader if stream else None
        return reader if isinstance(reader, HeadLimitedReader) else None
