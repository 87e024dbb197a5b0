"""mitmproxy in this process, for the streams that the gate hands over.

The gate owns the listeners; mitmproxy gets accepted streams with the bytes read so
far, through a server instance of its own regular mode that is never started.
Imported only where a gateway runs: mitmproxy takes most of a second to load.
"""

import asyncio
import logging

from mitmproxy import master, options
from mitmproxy.addons import next_layer, proxyserver
from mitmproxy.proxy.mode_servers import ServerInstance

from enforcer.proxy.addon import PolicyAddon

log = logging.getLogger(__name__)

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
        self._master.addons.add(self._server, next_layer.NextLayer(), addon)
        self._master.options.update(
            server=False,
            mode=[],
            connection_strategy="lazy",
            stream_large_bodies=STREAM_ABOVE,
        )
        self._instance = ServerInstance.make("regular", self._server)
        self._run: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._run = asyncio.get_running_loop().create_task(self._master.run())

    async def hand_over(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one stream to its end."""
        await self._instance.handle_stream(reader, writer)

    async def stop(self) -> None:
        self._master.shutdown()
        if self._run:
            await self._run
