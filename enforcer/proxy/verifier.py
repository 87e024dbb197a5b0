"""Who answers at a Connect URL: one probe per target, its result kept for a while.

The probe is a TLS handshake of the gateway's own, to the same address with the same
SNI, since TLS 1.3 hides the certificate from a reader on the path. Nothing of the
client's has been sent by then. Path validation runs in a thread, off the loop.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from enforcer.metrics import Metrics
from enforcer.policy.model import Address, CertificateCheck, CertificateFact, ConnectUrl, Issuer
from enforcer.proxy.probe import ProbeError, fetch_chain
from enforcer.tls.anchors import TrustAnchors, builtin_anchors, load_anchors
from enforcer.tls.chain import verify_chain

# More targets than a company has Connect URLs, regions and addresses.
MAX_CACHED = 4096
# At once; further clients wait for one of these, within their own time limit.
MAX_PROBES = 64
# A refusal or a failure is looked at again soon, since it is what people wait for.
REFUSED_FOR_S = 10.0
UNAVAILABLE_FOR_S = 2.0


class Target(NamedTuple):
    """Everything that a result depends on."""

    issuer: Issuer
    address: Address
    port: int
    host: str


class _Kept(NamedTuple):
    fact: CertificateFact
    until_s: float


class Verifier:
    """Checks certificates at Connect URLs; at most one probe per target is under way."""

    def __init__(
        self,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        timeout_s: float,
        verified_for_s: float,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._timeout_s = timeout_s
        self._verified_for_s = verified_for_s
        self._kept: dict[Target, _Kept] = {}
        self._under_way: dict[Target, asyncio.Task[CertificateFact]] = {}
        self._slots = asyncio.Semaphore(MAX_PROBES)

    async def verify(
        self, url: ConnectUrl, address: Address, port: int, host: str
    ) -> CertificateFact:
        """What is known of the certificate at ``address`` for ``host``. Never raises."""
        target = Target(url.issuer, address, port, host)
        kept = self._kept.get(target)
        if kept and self._clock() < kept.until_s:
            return kept.fact
        task = self._under_way.get(target)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._check(target))
            self._under_way[target] = task
            task.add_done_callback(lambda _: self._under_way.pop(target, None))
        # Shielded: a client that goes away must not end the probe that others wait for.
        return await asyncio.shield(task)

    async def _check(self, target: Target) -> CertificateFact:
        where = f"{target.host} at {target.address}"
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                chain = await fetch_chain(target.address, target.port, target.host)
            at = datetime.fromtimestamp(self._clock(), UTC)
            expected = _anchors(target.issuer)
            result = await asyncio.to_thread(verify_chain, chain, target.host, expected, at)
        except (TimeoutError, ProbeError) as error:
            reason = f"the certificate of {where} could not be seen: {_say(error)}"
            return self._keep(target, CertificateCheck.UNAVAILABLE, reason, UNAVAILABLE_FOR_S)
        if result.accepted:
            reason = f"the certificate of {where} is accepted: {result.reason}"
            return self._keep(target, CertificateCheck.ACCEPTED, reason, self._verified_for_s)
        reason = f"the certificate of {where} is refused ({result.code}): {result.reason}"
        return self._keep(target, CertificateCheck.REFUSED, reason, REFUSED_FOR_S)

    def _keep(
        self, target: Target, check: CertificateCheck, reason: str, for_s: float
    ) -> CertificateFact:
        self._metrics.connect_url_probes.add(check.value)
        fact = CertificateFact(check, reason)
        if len(self._kept) >= MAX_CACHED:
            del self._kept[next(iter(self._kept))]
        self._kept[target] = _Kept(fact, self._clock() + for_s)
        return fact


@lru_cache(maxsize=64)
def _anchors(issuer: Issuer) -> TrustAnchors:
    return load_anchors(issuer.roots_pem) if issuer.roots_pem else builtin_anchors(issuer.name)


def _say(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error)
