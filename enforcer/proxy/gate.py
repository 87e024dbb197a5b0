"""The gate: listeners, the flows of their connections, and the splices they become.

Two doors: transparent (redirected TLS) and explicit (CONNECT, SOCKS5 and plain HTTP on
one port). One task per connection until it is spliced; from then on only protocols.
"""

import asyncio
import contextlib
import logging
import socket
from functools import partial

from enforcer.policy.addresses import parse_address
from enforcer.policy.model import Plane
from enforcer.proxy.collector import Collector
from enforcer.proxy.entrances import MAX_HEAD_BYTES
from enforcer.proxy.flow import Flow, FlowServices
from enforcer.proxy.splice import Passed, Splice
from enforcer.settings.endpoint import Endpoint

log = logging.getLogger(__name__)

# Connections that wait to be accepted; the kernel caps it at net.core.somaxconn.
BACKLOG = 4096
# Failures of our own that are logged with their trace; all are counted.
MAX_REPORTED = 100
_IPV6_TRANSPARENT = 75  # linux/in6.h


class Gate:
    """Listens, keeps count of flows and splices, and ends them."""

    def __init__(self, services: FlowServices) -> None:
        self._services = services
        self._metrics = services.metrics
        self._servers: list[asyncio.Server] = []
        self._flows: set[asyncio.Task[None]] = set()
        self._splices: set[Splice] = set()
        self._passed = Passed(
            self._metrics.spliced_bytes.cell("to_upstream"),
            self._metrics.spliced_bytes.cell("to_client"),
        )
        self._reported: set[tuple[str, str, int]] = set()
        self._empty = asyncio.Event()
        self._sweep: asyncio.TimerHandle | None = None

    async def listen_transparent(self, endpoint: Endpoint) -> Endpoint:
        """Take redirected connections; returns where it listens. Raises OSError."""
        return await self._listen(endpoint, Plane.TLS)

    async def listen_explicit(self, endpoint: Endpoint) -> Endpoint:
        """Take CONNECT, SOCKS5 and plain HTTP; returns where it listens. Raises OSError."""
        return await self._listen(endpoint, Plane.CONNECT)

    async def _listen(self, endpoint: Endpoint, plane: Plane) -> Endpoint:
        listener = _bind(endpoint, transparent=plane is Plane.TLS)
        door = Endpoint(*listener.getsockname()[:2])
        factory = partial(Collector, MAX_HEAD_BYTES, partial(self._accept, plane, door))
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(factory, sock=listener, backlog=BACKLOG))
        if self._sweep is None:
            self._schedule_sweep()
        return door

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
        # An aborted transport tells its protocol in the loop's next round.
        self._count()
        await self._empty.wait()

    def _accept(self, plane: Plane, door: Endpoint, client: Collector) -> None:
        peer = client.transport.get_extra_info("peername")
        full = self.open_connections >= self._services.settings.max_connections
        if full or not peer:  # without a peer, it was gone before it was accepted
            self._metrics.tls_discarded.add("too_many_connections" if full else "client_gone")
            client.transport.abort()
            return
        address = parse_address(peer[0])
        flow = Flow(self._services, client, address, door, plane, self._adopt, self._passed)
        task = asyncio.get_running_loop().create_task(flow.run())
        self._flows.add(task)
        self._count()
        task.add_done_callback(self._flow_ended)

    def _flow_ended(self, task: asyncio.Task[None]) -> None:
        self._flows.discard(task)
        self._count()
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._metrics.tls_discarded.add("internal_error")
        # Once per place: what a client can cause, it can cause a million times.
        place = _origin(error)
        if place not in self._reported and len(self._reported) < MAX_REPORTED:
            self._reported.add(place)
            log.error("a connection failed for a reason of our own", exc_info=error)

    def _adopt(self, splice: Splice) -> None:
        splice.on_end = self._splice_ended
        self._splices.add(splice)

    def _splice_ended(self, splice: Splice) -> None:
        self._splices.discard(splice)
        self._count()

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


def _bind(endpoint: Endpoint, *, transparent: bool) -> socket.socket:
    """A listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    listener = socket.create_server(tuple(endpoint), family=family, backlog=BACKLOG)
    if transparent:
        # TPROXY hands connections only to such a socket; REDIRECT can do without, and
        # without CAP_NET_ADMIN there is no TPROXY anyway.
        with contextlib.suppress(PermissionError):
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
            else:
                listener.setsockopt(socket.SOL_IP, socket.IP_TRANSPARENT, 1)
    return listener


def _origin(error: BaseException) -> tuple[str, str, int]:
    """The type of an error, and the file and line that raised it."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace else ("", 0)
    return (type(error).__name__, *where)
