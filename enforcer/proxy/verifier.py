"""Who answers at a Connect URL: one probe per target, its result kept for a while.

The probe is a TLS handshake of the gateway's own, to the same address with the same
SNI, since TLS 1.3 hides the certificate from a reader on the path. Nothing of the
client's has been sent by then. Path validation runs in a thread, off the loop.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from enforcer.metrics import Metrics
from enforcer.policy.model import Address, CertificateCheck, CertificateFact, ConnectUrl, Issuer
from enforcer.proxy.probe import BadCertificateError, ProbeError, fetch_chain
from enforcer.tls.anchors import issuer_anchors
from enforcer.tls.chain import ChainResult, verify_chain

# More targets than a company has Connect URLs, regions and addresses.
MAX_CACHED = 4096
# At once; further clients wait for one of these, within their own time limit.
MAX_PROBES = 64
# Who names the addresses is the client: beyond this many targets at once, none is looked at.
MAX_UNDER_WAY = 1024
# A refusal or a failure is looked at again soon, since it is what people wait for.
REFUSED_FOR_S = 10.0
UNAVAILABLE_FOR_S = 2.0

_log = structlog.get_logger()


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
        max_cached: int = MAX_CACHED,
        max_under_way: int = MAX_UNDER_WAY,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._timeout_s = timeout_s
        self._verified_for_s = verified_for_s
        self._max_cached = max_cached
        self._max_under_way = max_under_way
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
            if len(self._under_way) >= self._max_under_way:
                return self._count(
                    CertificateFact(
                        CertificateCheck.UNAVAILABLE,
                        f"the certificate of {host} at {address} could not be seen: "
                        f"{self._max_under_way} other checks are under way",
                    )
                )
            task = asyncio.get_running_loop().create_task(self._check(target))
            self._under_way[target] = task
            task.add_done_callback(lambda _: self._under_way.pop(target, None))
        # Shielded: a client that goes away must not end the probe that others wait for.
        return await asyncio.shield(task)

    async def _check(self, target: Target) -> CertificateFact:
        check, what, for_s = await self._look(target)
        fact = CertificateFact(
            check, f"the certificate of {target.host} at {target.address} {what}"
        )
        self._kept.pop(target, None)
        if len(self._kept) >= self._max_cached:
            del self._kept[next(iter(self._kept))]
        self._kept[target] = _Kept(fact, self._clock() + for_s)
        return self._count(fact)

    async def _look(self, target: Target) -> tuple[CertificateCheck, str, float]:
        """The outcome, what to say of the certificate, and for how many seconds it holds."""
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                chain = await fetch_chain(target.address, target.port, target.host)
            at_s = self._clock()
            result = await asyncio.to_thread(_judge, chain, target, at_s)
        except BadCertificateError as error:
            return CertificateCheck.REFUSED, f"is refused: {error}", REFUSED_FOR_S
        except (TimeoutError, ProbeError) as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else error
            return CertificateCheck.UNAVAILABLE, f"could not be seen: {why}", UNAVAILABLE_FOR_S
        except Exception:  # noqa: BLE001 whatever it is, the flow must get an answer
            # A fault of our own: the client gets the answer for "not known", we the traceback.
            _log.exception(
                "certificate_check_failed", host=target.host, address=str(target.address)
            )
            why = "the check itself failed"
            return CertificateCheck.UNAVAILABLE, f"could not be seen: {why}", UNAVAILABLE_FOR_S
        if not result.accepted:
            what = f"is refused ({result.code}): {result.reason}"
            return CertificateCheck.REFUSED, what, REFUSED_FOR_S
        until_s = min(certificate.not_after.timestamp() for certificate in result.path)
        for_s = min(self._verified_for_s, until_s - at_s)
        return CertificateCheck.ACCEPTED, f"is accepted: {result.reason}", for_s

    def _count(self, fact: CertificateFact) -> CertificateFact:
        self._metrics.connect_url_probes.add(fact.check.value)
        return fact


def _judge(chain: tuple[bytes, ...], target: Target, at_s: float) -> ChainResult:
    at = datetime.fromtimestamp(at_s, UTC)
    return verify_chain(chain, target.host, issuer_anchors(target.issuer), at)
