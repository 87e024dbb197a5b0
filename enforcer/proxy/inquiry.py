"""What one connection asks the policy, and what it was told.

The last answer about a name is what holds, and is put on record once at the end. What an
earlier one held against another address, or against what the name leads to, stays on
record beside it. Nothing here waits for the client.
"""

from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

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


class Inquiry:
    """Asks one policy, whatever is reloaded meanwhile."""

    def __init__(
        self, policy: CompiledPolicy, record: Record, metrics: Metrics, verifier: Verify
    ) -> None:
        self._policy = policy
        self._record = record
        self._metrics = metrics
        self._verifier = verifier
        self._answers: dict[str, tuple[Request, Verdict]] = {}
        self._leads_to: list[tuple[Request, Verdict]] = []
        # Bounded by the addresses that a flow tries.
        self._set_aside: list[tuple[Request, Verdict]] = []
        self._counted = False

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
            self._leads_to.append((request, resolved.verdict))
        return resolved.addresses

    def conclude(self) -> None:
        """Put on record what was decided; count the connection as the worst of what holds.

        What is asked after that is for a further conclusion, which counts nothing.
        """
        if not self._answers:
            return
        digest = self._policy.policy.digest
        worst, plane = Action.ALLOW, ""
        answers = [*self._answers.values()]
        # Of an address that the lookup found, the connection to it may say the same again.
        said = {(request.name, verdict.rule) for request, verdict in answers if verdict.recorded}
        answers += [
            (request, verdict)
            for request, verdict in self._leads_to
            if (request.name, verdict.rule) not in said
        ]
        for request, verdict in answers:
            plane = request.plane.value
            worst = max(worst, verdict.action, key=_SEVERITY.__getitem__)
        for request, verdict in (*self._set_aside, *answers):
            if verdict.recorded:
                self._record(audit_event(request, verdict, digest))
        for kept in (self._answers, self._leads_to, self._set_aside):
            kept.clear()
        if not self._counted:
            self._metrics.tls_connections.add(worst.value, plane)
        self._counted = True

    def _keep(self, request: Request, verdict: Verdict) -> None:
        before, said = self._answers.get(request.name, (request, verdict))
        if said.action is not Action.ALLOW and before.address not in (None, request.address):
            self._set_aside.append((before, said))
        self._answers[request.name] = (request, verdict)

    def _deny(self, request: Request, verdict: Verdict) -> NoReturn:
        raise Denied(request, verdict, self._policy.hint)


_SEVERITY = {Action.ALLOW: 0, Action.MONITOR: 1, Action.BLOCK: 2}
