"""What one connection asks the policy, and what it was told.

The last answer about a name is what holds, and is put on record once at the end. What an
earlier one held against another address, or against what the name leads to, stays on
record beside it. Nothing here waits for the client.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, NoReturn, Protocol

from enforcer.audit.event import Record, audit_event
from enforcer.metrics import Metrics
from enforcer.policy import gateway_address
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.decide import decide
from enforcer.policy.model import (
    Action,
    Address,
    CertificateFact,
    ConnectUrl,
    Request,
    Verdict,
)
from enforcer.proxy import entrances
from enforcer.proxy.entrances import ProxyError
from enforcer.tls.first_bytes import AlertDescription


class Resolved(Protocol):
    """What a lookup gave: addresses, and a verdict when it leads to what a rule is against."""

    @property
    def addresses(self) -> tuple[Address, ...]: ...
    @property
    def verdict(self) -> Verdict | None: ...


Resolve = Callable[[str, Address], Awaitable[Resolved]]


class Verify(Protocol):
    """Who tells what is known of the certificate at an address. Never raises."""

    async def verify(
        self, url: ConnectUrl, address: Address, port: int, host: str
    ) -> CertificateFact: ...


class Denied(Exception):  # noqa: N818 not an error: the policy's answer is no
    """A verdict that blocks, with the request it is about."""

    def __init__(self, request: Request, verdict: Verdict, hint: str) -> None:
        self.request = request
        self.verdict = verdict
        super().__init__(verdict.explain(hint))

    @property
    def error(self) -> ProxyError:
        if self.verdict.rule == gateway_address.RULE:
            return entrances.PROHIBITED
        by_certificate = self.request.certificate is not None
        return entrances.CERTIFICATE_REFUSED if by_certificate else entrances.DENIED

    @property
    def alert(self) -> AlertDescription:
        if self.request.certificate is not None:
            return AlertDescription.ACCESS_DENIED
        return AlertDescription.UNRECOGNIZED_NAME


class Said(NamedTuple):
    """A question, its answer, and the digest of the policy that gave it."""

    request: Request
    verdict: Verdict
    digest: str


class Inquiry:
    """Asks one policy, whatever is reloaded meanwhile, until it is told to ``renew``."""

    def __init__(
        self, policy: CompiledPolicy, record: Record, metrics: Metrics, verifier: Verify
    ) -> None:
        self._policy = policy
        self._record = record
        self._metrics = metrics
        self._verifier = verifier
        self._answers: dict[str, Said] = {}
        self._leads_to: list[Said] = []
        # Bounded by the addresses that a flow tries.
        self._set_aside: list[Said] = []
        self._counted = False

    def renew(self, policy: CompiledPolicy) -> None:
        """Ask another policy from now on: that in force after a long wait."""
        self._policy = policy

    def judge(self, request: Request) -> Verdict:
        """Ask. Raises Denied."""
        verdict = decide(self._policy, request)
        self._keep(request, verdict)
        if verdict.blocks:
            self._deny(request, verdict)
        return verdict

    async def admit(self, request: Request) -> Verdict:
        """Ask, check the certificate if the verdict wants it, and ask again. Raises Denied."""
        verdict = self.judge(request)
        if verdict.verify is None or request.address is None or request.port is None:
            return verdict
        fact = await self._verifier.verify(
            verdict.verify, request.address, request.port, request.name
        )
        return self.judge(request._replace(certificate=fact))

    def protect_gateway(self, request: Request) -> NoReturn:
        """Refuse for the gateway's own sake, in monitor mode too. Raises Denied."""
        verdict = gateway_address.refuse_gateway_address(request, self._policy.policy.mode)
        self._keep(request, verdict)
        raise Denied(request, verdict, hint="")

    async def look_up(self, resolve: Resolve, request: Request) -> tuple[Address, ...]:
        """The addresses of the request's name; none when it has none. Raises Denied."""
        assert request.client is not None  # noqa: S101 every connection has one
        resolved = await resolve(request.name, request.client)
        if resolved.verdict is not None and resolved.verdict.blocks:
            self._keep(request, resolved.verdict)
            self._deny(request, resolved.verdict)
        if resolved.verdict is not None:
            self._leads_to.append(self._said(request, resolved.verdict))
        return resolved.addresses

    def conclude(self) -> None:
        """Put on record what was decided; count the connection as the worst of what holds.

        What is asked after that is for a further conclusion, which counts nothing.
        """
        if not self._answers:
            return
        answers = [*self._answers.values()]
        # Of an address that the lookup found, the connection to it may say the same again.
        heard = {
            (said.request.name, said.verdict.rule) for said in answers if said.verdict.recorded
        }
        answers += [
            said for said in self._leads_to if (said.request.name, said.verdict.rule) not in heard
        ]
        worst = max((said.verdict.action for said in answers), key=_SEVERITY.__getitem__)
        for said in (*self._set_aside, *answers):
            if said.verdict.recorded:
                self._record(audit_event(said.request, said.verdict, said.digest))
        for kept in (self._answers, self._leads_to, self._set_aside):
            kept.clear()
        if not self._counted:
            plane = answers[-1].request.plane
            self._metrics.tls_connections.add(worst.value, plane.value)
        self._counted = True

    def _keep(self, request: Request, verdict: Verdict) -> None:
        before = self._answers.get(request.name)
        if (
            before is not None
            and before.verdict.action is not Action.ALLOW
            and before.request.address not in {None, request.address}
        ):
            self._set_aside.append(before)
        self._answers[request.name] = self._said(request, verdict)

    def _said(self, request: Request, verdict: Verdict) -> Said:
        return Said(request, verdict, self._policy.policy.digest)

    def _deny(self, request: Request, verdict: Verdict) -> NoReturn:
        raise Denied(request, verdict, self._policy.hint)


_SEVERITY = {Action.ALLOW: 0, Action.MONITOR: 1, Action.BLOCK: 2}
