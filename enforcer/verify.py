"""What `enforcer verify` does: judge a chain, presented on line or kept in a file."""

import asyncio
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from enforcer.policy.addresses import parse_address
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.model import Address, Issuer
from enforcer.policy.names import parse_host
from enforcer.proxy.probe import ProbeError, fetch_chain
from enforcer.settings import MAX_PORT
from enforcer.tls.anchors import TrustAnchors, builtin_anchors, load_anchors
from enforcer.tls.chain import CertificateSummary, ChainCode, ChainResult, verify_chain

BUILTIN = ("ngrok", "letsencrypt")
DEFAULT_PORT = 443
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class VerifyError(Exception):
    """The question cannot be asked like this; the message says why."""


class Verification(NamedTuple):
    """The outcome, for a person and for a program."""

    target: str
    expected: str
    accepted: bool
    code: str
    issuer: str
    reason: str
    path: tuple[CertificateSummary, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        path = [
            {key: _json_value(value) for key, value in certificate._asdict().items()}
            for certificate in self.path
        ]
        fields = {key: value for key, value in self._asdict().items() if key != "accepted"}
        return {"verdict": self.verdict, **fields, "path": path}

    def as_text(self) -> str:
        lines = [
            f"{self.verdict}: {self.target}",
            f"reason    {self.reason}",
            f"expected  {self.expected}",
            f"issuer    {self.issuer}",
        ]
        for depth, certificate in enumerate(self.path):
            label = "path" if depth == 0 else ""
            until = certificate.not_after.date()
            lines.append(f"{label:<10}{'  ' * depth}{certificate.subject} (until {until})")
        return "\n".join(lines)

    @property
    def verdict(self) -> str:
        return "accepted" if self.accepted else "refused"


def _json_value(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def verify_offline(chain: Path, host: str, roots: str | None, at: str | None) -> Verification:
    """A chain in a PEM file, leaf first. Raises VerifyError."""
    try:
        text = chain.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise VerifyError(f"{chain} cannot be read: {error.strerror}") from None
    try:
        presented = [ssl.PEM_cert_to_DER_cert(block) for block in _PEM.findall(text)]
    except ValueError as error:
        raise VerifyError(f"{chain} is not PEM: {error}") from None
    name = _host(host)
    return _judge(f"{name} by {chain}", presented, name, _roots(roots), _moment(at))


def verify_online(
    target: str,
    address: str | None,
    roots: str | None,
    at: str | None,
    policy: CompiledPolicy | None,
    timeout_s: float,
) -> Verification:
    """What ``HOST[:PORT]`` presents now. Raises VerifyError.

    Without ``roots``, a Connect URL must be issued as the policy says; any other host
    by ngrok or Let's Encrypt.
    """
    host, _, port_text = target.partition(":")
    host = _host(host)
    port = _port(port_text) if port_text else DEFAULT_PORT
    expected = _roots(roots)
    if expected is None and policy is not None:
        url = policy.connect_url(host, port)
        expected = _anchors(url.issuer) if url else None
    try:
        where = parse_address(address) if address else None
    except ValueError as error:
        raise VerifyError(str(error)) from None
    look = _look(host, port, where, timeout_s)
    try:
        presented, seen_at = asyncio.run(look)
    except ProbeError as error:
        return Verification(
            target=f"{host}:{port}",
            expected=_name(expected),
            accepted=False,
            code="unavailable",
            issuer="unknown",
            reason=f"its certificate could not be seen: {error}",
        )
    return _judge(f"{host}:{port} at {seen_at}", presented, host, expected, _moment(at))


async def _look(
    host: str, port: int, address: Address | None, timeout_s: float
) -> tuple[tuple[bytes, ...], Address]:
    try:
        async with asyncio.timeout(timeout_s):
            if address is None:
                found = await asyncio.get_running_loop().getaddrinfo(host, port)
                address = parse_address(str(found[0][4][0]))
            return await fetch_chain(address, port, host), address
    except TimeoutError:
        raise ProbeError(f"no answer within {timeout_s:.0f} s") from None
    except OSError as error:
        raise ProbeError(error.strerror or str(error)) from None


def _judge(
    target: str,
    presented: tuple[bytes, ...] | list[bytes],
    host: str,
    expected: TrustAnchors | None,
    at: datetime,
) -> Verification:
    tried = (expected,) if expected else tuple(map(builtin_anchors, BUILTIN))
    result: ChainResult | None = None
    for anchors in tried:
        result = verify_chain(presented, host, anchors, at)
        if result.code is not ChainCode.WRONG_ISSUER:
            break
    assert result is not None  # noqa: S101 at least one is tried
    return Verification(
        target=target,
        expected=_name(expected),
        accepted=result.accepted,
        code=result.code.value,
        issuer=result.issuer,
        reason=result.reason,
        path=result.path,
    )


def _name(expected: TrustAnchors | None) -> str:
    return expected.name if expected else " or ".join(BUILTIN)


def _anchors(issuer: Issuer) -> TrustAnchors:
    return load_anchors(issuer.roots_pem) if issuer.roots_pem else builtin_anchors(issuer.name)


def _roots(roots: str | None) -> TrustAnchors | None:
    if roots is None or roots in BUILTIN:
        return builtin_anchors(roots) if roots else None
    try:
        return load_anchors(Path(roots).read_bytes())
    except OSError as error:
        raise VerifyError(
            f"--roots is ngrok, letsencrypt or a PEM file; {roots}: {error.strerror}"
        ) from None
    except ValueError as error:
        raise VerifyError(f"{roots}: {error}") from None


def _host(text: str) -> str:
    try:
        return parse_host(text)
    except ValueError as error:
        raise VerifyError(str(error)) from None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= MAX_PORT:
        raise VerifyError(f"{text!r} is not a port")
    return int(text)


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)  # noqa: TID251 a command asks as of now
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise VerifyError(f"{text!r} is not a time such as 2027-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
