"""The add-on alone in stock mitmproxy: ``mitmdump -s .../enforcer/proxy/standalone.py``.

The same policy, without our DNS plane and gate: names are looked up by the system, and
what the policy allows is intercepted as mitmproxy is told to. Options, by ``--set``:
``enforcer_policy`` and ``enforcer_audit``.
"""

import asyncio
import json
import logging
import socket
import time
from pathlib import Path
from typing import NamedTuple

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader

from enforcer.audit.event import AuditEvent, event_fields
from enforcer.audit.schema import AuditStoreError
from enforcer.audit.store import Store
from enforcer.audit.trail import Trail
from enforcer.metrics import Metrics
from enforcer.policy.addresses import parse_address
from enforcer.policy.admit import admit_policy
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import Address
from enforcer.policy.source import PolicyError
from enforcer.proxy.addon import AddonServices, PolicyAddon
from enforcer.proxy.verifier import Verifier
from enforcer.settings.gateway import AuditSettings, TlsSettings

log = logging.getLogger(__name__)


class Enforcer:
    """Reads the options, and keeps a PolicyAddon that follows them."""

    def __init__(self) -> None:
        self._metrics = Metrics()
        self.policy: PolicyHolder | None = None
        self._trail: Trail | None = None

    def load(self, loader: Loader) -> None:
        loader.add_option(
            "enforcer_policy", str, "", "Policy file; the embedded default when empty."
        )
        loader.add_option(
            "enforcer_audit", str, "", "SQLite store of events; only the log when empty."
        )

    def configure(self, updated: set[str]) -> None:
        if "enforcer_audit" in updated:
            self._keep_records(ctx.options.enforcer_audit)
        if "enforcer_policy" in updated:
            self._follow(_admit(ctx.options.enforcer_policy))

    def done(self) -> None:
        trail, self._trail = self._trail, None
        if trail:
            trail.close()

    def _follow(self, policy: CompiledPolicy) -> None:
        if self.policy is not None:
            self.policy.current = policy
            return
        self.policy = PolicyHolder(policy)
        settings = TlsSettings()
        verifier = Verifier(
            self._metrics,
            time.time,
            timeout_s=settings.connect_timeout_ms / 1000,
            verified_for_s=settings.verified_for_seconds,
        )
        services = AddonServices(
            self.policy,
            self._record,
            self._metrics,
            verifier,
            resolve_by_system,
            listening={},  # mitmproxy's own; it keeps off them itself
            intercept=True,
            clock=time.time,
        )
        ctx.master.addons.add(PolicyAddon(services))

    def _keep_records(self, path: str) -> None:
        try:
            store = Store(Path(path)) if path else None
        except AuditStoreError as error:
            raise exceptions.OptionsError(str(error)) from None
        self.done()
        if store:
            flush_interval_s = AuditSettings().flush_interval_ms / 1000
            self._trail = Trail(store, _log, self._metrics, flush_interval_s)

    def _record(self, event: AuditEvent) -> None:
        if self._trail:
            self._trail.record(event)
        else:
            _log(event)


class SystemAnswer(NamedTuple):
    """What the system's resolver said; it blocks nothing."""

    addresses: tuple[Address, ...]
    verdict: None = None


async def resolve_by_system(name: str, _client: Address) -> SystemAnswer:
    """Addresses by getaddrinfo; none when it fails."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return SystemAnswer(())
    return SystemAnswer(tuple(parse_address(str(entry[4][0])) for entry in found))


def _admit(path: str) -> CompiledPolicy:
    try:
        policy = admit_policy(Path(path) if path else None)
    except PolicyError as error:
        raise exceptions.OptionsError(str(error)) from None
    for warning in policy.warnings:
        log.warning("policy: %s", warning)
    return policy


def _log(event: AuditEvent) -> None:
    level = logging.INFO if event.action == "allow" else logging.WARNING
    log.log(level, "enforcer: %s", json.dumps(event_fields(event)))


addons = [Enforcer()]
