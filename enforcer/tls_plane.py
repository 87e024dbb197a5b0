"""The gate and the proxy, wired.

Imported only where one of them listens: mitmproxy takes most of a second to load, and
most of the memory.
"""

from collections.abc import Callable

from enforcer.audit.event import Record
from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder
from enforcer.proxy.addon import AddonServices, PolicyAddon
from enforcer.proxy.embedded import EmbeddedProxy
from enforcer.proxy.flow import FlowServices
from enforcer.proxy.gate import Gate
from enforcer.proxy.inquiry import Resolve
from enforcer.proxy.verifier import Verifier
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.gateway import TlsSettings


class TlsPlane:
    """``gate`` listens; what it hands over goes to mitmproxy, in this process."""

    def __init__(
        self,
        settings: TlsSettings,
        policy: PolicyHolder,
        record: Record,
        metrics: Metrics,
        clock: Callable[[], float],
        resolve: Resolve,
        listening: dict[str, list[Endpoint]],
    ) -> None:
        verifier = Verifier(
            metrics,
            clock,
            timeout_s=settings.connect_timeout_ms / 1000,
            verified_for_s=settings.verified_for_seconds,
        )
        addon = AddonServices(
            policy, record, metrics, verifier, resolve, listening, intercept=False, clock=clock
        )
        self._mitmproxy = EmbeddedProxy(
            PolicyAddon(addon), connect_timeout_s=settings.connect_timeout_ms / 1000
        )
        self.gate = Gate(
            FlowServices(
                policy=policy,
                record=record,
                metrics=metrics,
                verifier=verifier,
                resolve=resolve,
                hand_over=self._mitmproxy.hand_over,
                listening=listening,
                settings=settings,
                clock=clock,
            )
        )

    async def start(self) -> None:
        await self._mitmproxy.start()

    async def drain(self, timeout_s: float) -> None:
        """Let open connections go on for so long, then end them."""
        await self.gate.drain(timeout_s)
        await self._mitmproxy.stop()
