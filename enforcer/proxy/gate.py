"""The gate: listeners, the flows of their connections, and the splices they become.

Two doors: transparent (redirected TLS) and explicit (CONNECT, SOCKS5 and plain HTTP on
one port). One task per connection until it is spliced; from then on only protocols.
"""

import asyncio
import logging
from functools import partial

from enforcer.policy.model import Plane
from enforcer.proxy.client import ClientProtocol
from enforcer.proxy.flow import Flow, FlowServices
from enforcer.proxy.splice import Splice
from enforcer.settings import Endpoint

log = logging.getLogger(__name__)

# Connections that wait to be accepted; the kernel caps it at net.core.somaxconn.
BACKLOG = 4096


class Gate:
    """Listens, keeps count of flows and splices, and ends them."""

    def __init__(self, services: FlowServices) -> None:
        self._services = services
        self._metrics = services.metrics
        self._servers: list[asyncio.Server] = []
        self._flows: set[asyncio.Task[None]] = set()
        self._splices: set[Splice] = set()
        self._empty = asyncio.Event()
        self._sweep: asyncio.TimerHandle | None = None

    async def listen_transparent(self, endpoint: Endpoint) -> Endpoint:
        """Take redirected connections; returns where it listens. Raises OSError."""
        return await self._listen(endpoint, Plane.TLS)

    async def listen_explicit(self, endpoint: Endpoint) -> Endpoint:
        """Take CONNECT, SOCKS5 and plain HTTP; returns where it listens. Raises OSError."""
        return await self._listen(endpoint, Plane.CONNECT)

    async def _listen(self, endpoint: Endpoint, plane: Plane) -> Endpoint:
        server = await asyncio.get_running_loop().create_server(
            partial(ClientProtocol, partial(self._accept, plane)),
            endpoint.host,
            endpoint.port,
            backlog=BACKLOG,
        )
        self._servers.append(server)
        if self._sweep is None:
            self._schedule_sweep()
        host, port = server.sockets[0].getsockname()[:2]
        return Endpoint(host, port)

    @property
    def open_connections(self) -> int:
        return len(self._flows) + len(self._splices)

    async def drain(self, timeout_s: float) -> None:
        """Accept nothing more, let what is open end by itself, then end the rest."""
        self._close_listeners()
        self._count()
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            log.info("ending %d connections that are still open", self.open_connections)
        await self.stop()

    async def stop(self) -> None:
        """End everything now."""
        self._close_listeners()
        if self._sweep:
            self._sweep.cancel()
        for splice in tuple(self._splices):
            splice.abort()
        flows = tuple(self._flows)
        for task in flows:
            task.cancel()
        await asyncio.gather(*flows, return_exceptions=True)

    def _accept(self, plane: Plane, client: ClientProtocol) -> None:
        if self.open_connections >= self._services.settings.max_connections:
            self._metrics.tls_discarded.add("too_many_connections")
            client.transport.abort()
            return
        flow = Flow(self._services, client, plane, self._splice)
        task = asyncio.get_running_loop().create_task(flow.run())
        self._flows.add(task)
        self._count()
        task.add_done_callback(self._flow_ended)

    def _flow_ended(self, task: asyncio.Task[None]) -> None:
        self._flows.discard(task)
        self._count()
        if not task.cancelled() and (error := task.exception()):
            self._metrics.tls_discarded.add("internal_error")
            log.error("a connection failed for a reason of our own", exc_info=error)

    def _splice(
        self, client: asyncio.Transport, upstream: asyncio.Transport, first_bytes: bytes
    ) -> None:
        self._splices.add(Splice(client, upstream, first_bytes, self._splice_ended))

    def _splice_ended(self, splice: Splice) -> None:
        self._splices.discard(splice)
        self._count()
        self._metrics.spliced_bytes.add("to_upstream", by=splice.client.received)
        self._metrics.spliced_bytes.add("to_client", by=splice.upstream.received)

    def _count(self) -> None:
        self._metrics.tls_open_connections.set(self.open_connections)
        if self.open_connections:
            self._empty.clear()
        else:
            self._empty.set()

    def _schedule_sweep(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(
            self._services.settings.idle_timeout_seconds, self._end_idle_splices
        )

    def _end_idle_splices(self) -> None:
        # Two looks without a byte between them: silent for one to two idle times.
        for splice in tuple(self._splices):
            splice.abort_if_idle()
        self._schedule_sweep()

    def _close_listeners(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
