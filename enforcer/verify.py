"""What `enforcer verify` does: judge a chain, presented on line or kept in a file."""

import re
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from enforcer.policy.addresses import parse_address, parse_written_address
from enforcer.policy.model import MAX_PORT
from enforcer.policy.names import parse_host
from enforcer.tls.anchors import (
    BUILTIN,
    TrustAnchors,
    builtin_anchors,
    issuer_anchors,
    load_anchors,
)
from enforcer.tls.certificate import CertificateSummary
from enforcer.tls.chain import verify_chain

if TYPE_CHECKING:
    from enforcer.policy.compile import CompiledPolicy

# The code of what could not be looked at: neither good nor bad, and so not accepted.
UNAVAILABLE = "unavailable"
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
            f"{UNAVAILABLE if self.code == UNAVAILABLE else self.verdict}: {self.target}",
            f"reason    {self.reason}",
            f"expected  {self.expected}",
            f"issuer    {self.issuer}",
        ]
        for depth, certificate in enumerate(self.path):
            label = "" if depth else ("path" if self.accepted else "presented")
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
    if not presented:
        raise VerifyError(f"{chain} holds no certificate; give PEM text, BEGIN CERTIFICATE and on")
    name = _host(host)
    return _judge(f"{name} by {chain}", presented, name, _roots(roots) or _either(), _moment(at))


def verify_online(
    target: str,
    address: str | None,
    roots: str | None,
    at: str | None,
    policy: "CompiledPolicy | None",
    timeout_s: float,
) -> Verification:
    """What ``HOST[:PORT]`` presents now. Raises VerifyError.

    Without ``roots``, a Connect URL must be issued as the policy says; any other host
    by ngrok or Let's Encrypt.
    """
    # Off line, nothing should be paid for asyncio.
    from enforcer.proxy.look import look  # noqa: PLC0415
    from enforcer.proxy.probe import ProbeError  # noqa: PLC0415

    host, port = _split(target)
    expected = _roots(roots)
    if expected is None and policy is not None:
        url = policy.connect_url(host, port)
        expected = issuer_anchors(url.issuer) if url else None
    expected = expected or _either()
    moment = _moment(at)
    try:
        where = parse_written_address(address) if address else None
    except ValueError as error:
        raise VerifyError(f"--address: {error}") from None
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        presented, seen_at = look(host, port, where, timeout_s)
    except ProbeError as error:
        return Verification(
            target=shown if where is None else f"{shown} at {where}",
            expected=expected.name,
            accepted=False,
            code=UNAVAILABLE,
            issuer="unknown",
            reason=f"its certificate could not be seen: {error}",
        )
    return _judge(f"{shown} at {seen_at}", presented, host, expected, moment)


def _judge(
    target: str, presented: Sequence[bytes], host: str, expected: TrustAnchors, at: datetime
) -> Verification:
    result = verify_chain(presented, host, expected, at)
    return Verification(
        target=target,
        expected=expected.name,
        accepted=result.accepted,
        code=result.code.value,
        issuer=result.issuer,
        reason=result.reason,
        path=result.path,
    )


def _either() -> TrustAnchors:
    """Whoever may issue at a Connect URL."""
    all_of_them = [builtin_anchors(name) for name in BUILTIN]
    roots = tuple(root for anchors in all_of_them for root in anchors.certificates)
    return TrustAnchors(" or ".join(BUILTIN), roots)


def _roots(roots: str | None) -> TrustAnchors | None:
    if roots is None or roots in BUILTIN:
        return builtin_anchors(roots) if roots else None
    try:
        return load_anchors(Path(roots).read_bytes(), roots)
    except OSError as error:
        raise VerifyError(
            f"--roots is ngrok, letsencrypt or a PEM file; {roots}: {error.strerror}"
        ) from None
    except ValueError as error:
        raise VerifyError(f"{roots}: {error}") from None


def _split(target: str) -> tuple[str, int]:
    """Host and port of HOST, HOST:PORT, and of v6 addresses in brackets or bare."""
    bracketed = re.fullmatch(r"\[(.+)\](?::(.*))?", target)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
    elif target.count(":") > 1:
        host, port = target, None
    else:
        host, colon, rest = target.partition(":")
        port = rest if colon else None
    return _host(host), DEFAULT_PORT if port is None else _port(port)


def _host(text: str) -> str:
    try:
        return str(parse_address(text))
    except ValueError:
        pass
    try:
        return parse_host(text)
    except ValueError as error:
        raise VerifyError(str(error)) from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= MAX_PORT):
        raise VerifyError(f"{text!r} is not a port; a port is a number from 1 to {MAX_PORT}")
    return int(text)


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)  # noqa: TID251 a command asks as of now
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise VerifyError(f"{text!r} is not a time such as 2027-01-31T12:00:00Z") from None
