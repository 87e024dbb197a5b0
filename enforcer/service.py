"""The gateway: builds the planes, swaps the policy, ends well.

The only module that knows all planes; it hands them callables and has no opinion on
what a policy says. One event loop; the audit writer has its own thread, and DNS workers,
where the settings want any, are processes (workers/).
"""

import asyncio
import logging
import resource
import signal
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import enforcer
from enforcer.admin.app import build_app
from enforcer.admin.server import AdminServer
from enforcer.audit.sinks import bind_event_log
from enforcer.audit.store import Store
from enforcer.audit.trail import Trail
from enforcer.dns_plane import DnsPlane, ListenError
from enforcer.garbage import make_collections_rare
from enforcer.metrics import Metrics
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.holder import PolicyHolder
from enforcer.reload import PolicyReloader
from enforcer.settings.endpoint import Endpoint, cannot_listen
from enforcer.settings.gateway import Settings
from enforcer.settings.load import system_upstreams
from enforcer.workers.pool import WorkerError, Workers

log = logging.getLogger(__name__)


class StartError(Exception):
    """The gateway cannot start; the message says why, and what to change."""


class Service:
    """One gateway. ``start``, then ``run_until_stopped``; signals end and reload it."""

    def __init__(
        self,
        settings: Settings,
        policy: CompiledPolicy,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.policy = PolicyHolder(policy)
        self.listening: dict[str, list[Endpoint]] = {}
        self.upstreams = settings.dns.upstreams or system_upstreams()
        self._stop_asked = asyncio.Event()
        self.metrics.build_info.set(1, enforcer.__version__)
        flush_interval_s = settings.audit.flush_interval_ms / 1000
        self._trail = Trail(
            Store(settings.audit.path),
            bind_event_log(),
            self.metrics,
            # What workers record takes up to the rest of the interval to get here.
            flush_interval_s * (0.9 if settings.dns.workers else 1),
        )
        self.reloader = PolicyReloader(self.policy, settings.policy, self.metrics, clock)
        record = self._trail.record
        self.dns = DnsPlane(settings.dns, self.upstreams, self.policy, record, self.metrics, clock)
        self._trail.gather(self.dns.drain_events)
        self._workers = None
        if settings.dns.workers:
            self._workers = Workers(
                settings.dns.model_copy(update={"upstreams": self.upstreams}),
                settings.policy,
                self.policy,
                record,
                self.metrics,
                flush_interval_s=flush_interval_s,
            )
        self._transfers = None
        if settings.dns.transfers:
            from enforcer.dns.transfers.transfer import ZoneTransfers  # noqa: PLC0415 few have any

            self._transfers = ZoneTransfers(settings.dns.transfers, self.metrics, clock)
        self._tls = None
        if settings.listen.proxy or settings.listen.tls:
            # It takes longer to load than all the rest.
            from enforcer.tls_plane import TlsPlane  # noqa: PLC0415

            self._tls = TlsPlane(
                settings.tls,
                self.policy,
                record,
                self.metrics,
                clock,
                self.dns.resolve,
                self.listening,
            )
        self._admin = AdminServer(build_app(self.metrics, self.readiness))

    def readiness(self) -> dict[str, bool]:
        """What must be there before traffic is sent here. Without a policy there is no Service."""
        wanted = ("dns", "proxy", "tls", "admin") if self._tls else ("dns", "admin")
        bound = {plane: plane in self.listening for plane in wanted}
        if self._workers:
            bound["dns"] = self._workers.serving
        return {"running": not self._stop_asked.is_set(), **bound}

    async def start(self) -> None:
        """Bind every listener. Raises StartError, with nothing left open."""
        listen = self.settings.listen
        _raise_file_limit()
        self._take_signals(self.stop)
        if self._tls:
            await self._tls.start()
        try:
            await self._listen_for_dns()
            if self._tls:
                await self._bind("proxy", listen.proxy, self._tls.gate.listen_explicit)
                await self._bind("tls", listen.tls, self._tls.gate.listen_transparent)
            await self._bind("admin", (listen.admin,), self._admin.listen)
            self._refuse_to_ask_ourselves()
        except StartError:
            await self._end(0)
            raise
        make_collections_rare()
        self.reloader.start()
        if self._transfers:
            self._transfers.start()

    async def _listen_for_dns(self) -> None:
        listen = self.settings.listen
        try:
            serving = self._workers.start if self._workers else self.dns.listen
            self.listening.update(await serving(listen.dns, listen.dot))
        except (ListenError, WorkerError) as error:
            raise StartError(str(error)) from None

    async def _bind(
        self,
        plane: str,
        endpoints: tuple[Endpoint, ...],
        bind: Callable[[Endpoint], Awaitable[Endpoint]],
    ) -> None:
        bound = []
        for endpoint in endpoints:
            try:
                bound.append(await bind(endpoint))
            except OSError as error:
                raise StartError(cannot_listen(plane, endpoint, error)) from None
        self.listening[plane] = bound

    def _refuse_to_ask_ourselves(self) -> None:
        special = (upstream for entry in self.settings.dns.forward for upstream in entry.upstreams)
        listeners = (*self.listening["dns"], *self.listening.get("dot", ()))
        for upstream in (*self.upstreams, *special):
            if any(_is_at(listener, upstream.endpoint) for listener in listeners):
                raise StartError(
                    f"the upstream {upstream} is this gateway itself; "
                    "set dns.upstreams in the settings to the resolvers behind it"
                )

    async def run_until_stopped(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. SIGHUP reloads the policy."""
        await self._stop_asked.wait()
        log.info("stopping: open connections may go on for %d s", self.settings.drain_seconds)
        # A second signal means now.
        self._take_signals(self._hurry)
        await self._end(self.settings.drain_seconds)

    def _take_signals(self, end: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        self.reloader.ask()
        if self._workers:
            self._workers.reload()

    def stop(self) -> None:
        self._stop_asked.set()

    def _hurry(self) -> None:
        if self._tls:
            self._hurried = asyncio.get_running_loop().create_task(self._tls.gate.stop())
        if self._workers:
            self._workers.hurry()

    async def _end(self, drain_s: float) -> None:
        if self._transfers:
            self._transfers.stop()
        await self.reloader.stop()
        draining = [self.dns.drain(drain_s)]
        if self._workers:
            draining.append(self._workers.drain(drain_s))
        if self._tls:
            draining.append(self._tls.drain(drain_s))
        await asyncio.gather(*draining)
        await self._admin.stop()
        # Last, so that what the drain still recorded is stored.
        await asyncio.to_thread(self._trail.close)


def _raise_file_limit() -> None:
    """Two descriptors a connection; the soft limit of 1024 is for programs that use select."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _is_at(listener: Endpoint, upstream: Endpoint) -> bool:
    """Whether an upstream's address is a listener's, be it through a wildcard."""
    if listener.port != upstream.port:
        return False
    everywhere = ip_address(listener.host).is_unspecified
    return listener.host == upstream.host or (everywhere and ip_address(upstream.host).is_loopback)
