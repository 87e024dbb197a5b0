"""The DNS plane, wired: responder, cache, forwarder and sockets of one process."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from typing import Final

from enforcer.audit.event import AuditEvent, Record
from enforcer.dns.cache import Cache, CacheLimits
from enforcer.dns.delegation import Delegations
from enforcer.dns.packets.cookies import SECRET_BYTES, Cookies
from enforcer.dns.resolve import Resolver
from enforcer.dns.responder import Responder, Shared
from enforcer.dns.serving.dot import CertificateError, DotCertificate
from enforcer.dns.serving.server import DnsServer, build_serving
from enforcer.dns.serving.sockets import SharePort
from enforcer.dns.upstream.forwarder import build_forwarder
from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.names import to_wire
from enforcer.settings.dns import CacheSettings, DnsSettings
from enforcer.settings.endpoint import Endpoint, cannot_listen
from enforcer.settings.upstream import Upstream
from enforcer.tls.binding import Bindings

# Names of addresses (RFC 1035 3.5, RFC 3596 2.5).
_REVERSE: Final = (to_wire("in-addr.arpa"), to_wire("ip6.arpa"))


class ListenError(Exception):
    """The plane cannot listen; the message says where, why, and what to change."""


class DnsPlane:
    """``server`` listens, ``resolve`` finds addresses for the gate, ``bindings`` knows them.

    ``cookie_secret`` is that of all processes that serve on one port; without one, a new one.
    """

    def __init__(
        self,
        settings: DnsSettings,
        upstreams: Iterable[Upstream],
        policy: PolicyHolder,
        record: Record,
        metrics: Metrics,
        clock: Callable[[], float],
        cookie_secret: bytes | None = None,
    ) -> None:
        self._settings = settings
        upstreams = tuple(upstreams)
        self.bindings = Bindings()
        self._asks_inside = all(
            ip_address(upstream.endpoint.host).is_private for upstream in upstreams
        )
        self._forwarder = build_forwarder(settings, upstreams, metrics)
        delegations = Delegations()
        self._responder = Responder(
            policy,
            record,
            metrics,
            Shared(
                Cache(_limits(settings.cache)),
                delegations,
                self.bindings,
                Cookies(cookie_secret or secrets.token_bytes(SECRET_BYTES)),
                self._is_routed,
                settings.forward_client_subnet,
                require_cookies=settings.require_cookies,
                minimal_any=settings.minimal_any,
            ),
        )
        self.server = DnsServer(
            self._responder, self._forwarder, metrics, clock, build_serving(settings)
        )
        self.resolve = Resolver(
            policy, self._forwarder, clock, delegations, self._is_routed
        ).resolve

    def _is_routed(self, name: bytes) -> bool:
        """The company's own resolvers know its private addresses, and nothing leaks to them."""
        return self._forwarder.has_own_upstreams(name) or (
            self._asks_inside and name.endswith(_REVERSE)
        )

    async def listen(
        self,
        dns: Iterable[Endpoint],
        dot: Iterable[Endpoint] = (),
        share: SharePort = SharePort.NO,
    ) -> dict[str, list[Endpoint]]:
        """Where it listens, by the keys of ``listen`` in the settings. Raises ListenError."""
        server, settings = self.server, self._settings.dot
        bound = {"dns": [await _or_say("dns", at, server.listen(at, share)) for at in dns]}
        if dot and settings:
            try:
                certificate = DotCertificate(settings.certificate, settings.key)
            except CertificateError as error:
                raise ListenError(f"{error}; change dns.dot in the settings") from None
            bound["dot"] = [
                await _or_say("dot", at, server.listen_dot(at, certificate, share)) for at in dot
            ]
        return bound

    def drain_events(self) -> list[AuditEvent]:
        """What the quick path noted since the last time. Any thread may ask."""
        return self._responder.quick.drain()

    async def drain(self, timeout_s: float) -> None:
        """Answer what waits, within the time, and close all sockets."""
        await self.server.drain(timeout_s)
        self._forwarder.close()
        # Sockets of upstreams are let go of in the loop's next round.
        await asyncio.sleep(0)


async def _or_say(key: str, at: Endpoint, listening: Awaitable[Endpoint]) -> Endpoint:
    try:
        return await listening
    except OSError as error:
        raise ListenError(cannot_listen(key, at, error)) from None


def _limits(settings: CacheSettings) -> CacheLimits:
    return CacheLimits(
        size_bytes=settings.size_mb << 20,
        min_ttl_s=settings.min_ttl_seconds,
        max_ttl_s=settings.max_ttl_seconds,
        max_negative_ttl_s=settings.max_negative_ttl_seconds,
        stale_s=settings.stale_seconds,
    )
