"""The add-on alone in stock mitmproxy: ``mitmdump -s .../enforcer/proxy/standalone.py``.

The same policy, without our DNS plane and gate: names are looked up by mitmproxy, and
what the policy allows is intercepted as mitmproxy is told to. Options, by ``--set``:
``enforcer_policy`` and ``enforcer_audit``.
"""

import json
import logging
import time
from pathlib import Path

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader

from enforcer.audit.event import AuditEvent, Record
from enforcer.audit.sinks import event_fields
from enforcer.audit.store import Store
from enforcer.audit.trail import Trail
from enforcer.metrics import Metrics
from enforcer.policy.admit import admit_policy
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.source import PolicyError
from enforcer.proxy.addon import AddonServices, PolicyAddon
from enforcer.proxy.verifier import Verifier
from enforcer.settings import AuditSettings, TlsSettings

log = logging.getLogger(__name__)


class Enforcer:
    """Reads the options and adds a PolicyAddon that follows them."""

    def __init__(self) -> None:
        self._metrics = Metrics()
        self._trail: Trail | None = None
        self._addon: PolicyAddon | None = None

    def load(self, loader: Loader) -> None:
        loader.add_option(
            "enforcer_policy", str, "", "Policy file; the embedded default when empty."
        )
        loader.add_option(
            "enforcer_audit", str, "", "SQLite store of events; only the log when empty."
        )

    def configure(self, updated: set[str]) -> None:
        if not updated & {"enforcer_policy", "enforcer_audit"}:
            return
        path = ctx.options.enforcer_policy
        try:
            policy = admit_policy(Path(path) if path else None)
        except PolicyError as error:
            raise exceptions.OptionsError(str(error)) from error
        self.done()
        record: Record = _log
        if ctx.options.enforcer_audit:
            self._trail = Trail(
                Store(Path(ctx.options.enforcer_audit)),
                _log,
                self._metrics,
                flush_interval_s=AuditSettings().flush_interval_ms / 1000,
            )
            record = self._trail.record
        settings = TlsSettings()
        verifier = Verifier(
            self._metrics,
            time.time,
            timeout_s=settings.connect_timeout_ms / 1000,
            verified_for_s=settings.verified_for_seconds,
        )
        if self._addon is not None:
            ctx.master.addons.remove(self._addon)
        self._addon = PolicyAddon(
            AddonServices(
                PolicyHolder(policy),
                record,
                self._metrics,
                verifier,
                resolve=None,
                intercept=True,
                clock=time.time,
            )
        )
        ctx.master.addons.add(self._addon)

    def done(self) -> None:
        if self._trail is not None:
            self._trail.close()
            self._trail = None


def _log(event: AuditEvent) -> None:
    level = logging.INFO if event.action == "allow" else logging.WARNING
    log.log(level, "enforcer: %s", json.dumps(event_fields(event)))


addons = [Enforcer()]
