"""Does a presented chain reach the pinned roots, for this host, at this time.

What one of the agents' verifiers (Go's crypto/x509, rustls-webpki) accepts is accepted,
what both refuse is refused; RSA keys below 2048 bits, which Go takes, are the exception.
OpenSSL builds and checks the path. The checks that it leaves out unless it is told a
purpose and a security level, through no public call of pyOpenSSL's, are made on the path
that it found. Nothing but the given roots is trusted: not the system's, nothing
presented. An issuer's name proves nothing. It never raises, and may block: run it off
the loop.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain, islice, product
from typing import Final, NamedTuple, NoReturn

from OpenSSL import crypto

from enforcer.tls.anchors import TrustAnchors
from enforcer.tls.certificate import Certificate, CertificateSummary, read_certificate
from enforcer.tls.host_names import covers

# rustls takes no handshake message of more, so no agent sees a longer chain.
MAX_CHAIN_BYTES: Final = 0xFFFF
# Three or four are needed; some servers present a whole bundle beside them.
MAX_CERTIFICATES: Final = 16
# A choice is only there when certificates share a name; two or three are usual then.
MAX_CHOICES: Final = 16
# Of the names that a certificate is for, in a reason.
MAX_SHOWN_NAMES: Final = 3
MAX_SHOWN_CHARS: Final = 253


class ChainCode(StrEnum):
    """The verdict on a chain."""

    ACCEPTED = "accepted"
    NO_CERTIFICATE = "no_certificate"
    MALFORMED = "malformed"
    TOO_LONG = "too_long"
    WRONG_ISSUER = "wrong_issuer"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_HOST = "wrong_host"
    WRONG_PURPOSE = "wrong_purpose"
    FORBIDDEN_PATH = "forbidden_path"
    WEAK_KEY = "weak_key"
    WEAK_SIGNATURE = "weak_signature"


# OpenSSL's X509_V_ERR numbers (openssl/x509_vfy.h). A signature that does not fit is an
# issuer's name with another key. What is not here is a rule of the path (CA or not, path
# length, name constraints, a critical extension that nobody knows).
_CODES: Final = {
    2: ChainCode.WRONG_ISSUER,  # UNABLE_TO_GET_ISSUER_CERT
    7: ChainCode.WRONG_ISSUER,  # CERT_SIGNATURE_FAILURE
    9: ChainCode.NOT_YET_VALID,
    10: ChainCode.EXPIRED,
    18: ChainCode.WRONG_ISSUER,  # DEPTH_ZERO_SELF_SIGNED_CERT
    19: ChainCode.WRONG_ISSUER,  # SELF_SIGNED_CERT_IN_CHAIN
    20: ChainCode.WRONG_ISSUER,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: ChainCode.WRONG_ISSUER,  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
}


class ChainResult(NamedTuple):
    """The verdict, with a sentence that says why.

    ``issuer`` is the name that the leaf gives, proven only if accepted. ``path`` runs from
    the leaf to the root if there is a path, and else is what was presented.
    """

    code: ChainCode
    reason: str
    issuer: str
    path: tuple[CertificateSummary, ...]

    @property
    def accepted(self) -> bool:
        return self.code is ChainCode.ACCEPTED


class _Refused(Exception):  # noqa: N818 a verdict, not an error
    def __init__(self, code: ChainCode, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


def verify_chain(
    chain_der: Sequence[bytes], host: str, anchors: TrustAnchors, at: datetime
) -> ChainResult:
    """The verdict on a chain as it was presented, leaf first, the rest in any order.

    ``host`` is a folded name or an address, ``at`` an aware datetime.
    """
    shown: Sequence[Certificate] = ()
    try:
        shown = _read(chain_der)
        shown = path = _find_path(shown[0], shown[1:], anchors, at)
        _check_path(path)
        leaf = path[0]
        if not covers(leaf.names, leaf.addresses, host):
            _refuse(ChainCode.WRONG_HOST, f"it is not for {host}, but for {_names(leaf)}")
        code = ChainCode.ACCEPTED
        reason = f"it is for {host}, and leads to a trusted root ({anchors.name})"
    except _Refused as refused:
        code, reason = refused.code, refused.reason
    issuer = shown[0].summary.issuer if shown else "unknown"
    return ChainResult(code, reason, issuer, tuple(c.summary for c in shown))


def _refuse(code: ChainCode, reason: str) -> NoReturn:
    raise _Refused(code, reason)


def _read(chain_der: Sequence[bytes]) -> list[Certificate]:
    """The leaf, and what can be read of the rest; each certificate once."""
    distinct = list(dict.fromkeys(chain_der))
    if not distinct:
        _refuse(ChainCode.NO_CERTIFICATE, "no certificate was presented")
    if sum(map(len, distinct)) > MAX_CHAIN_BYTES:
        _refuse(ChainCode.TOO_LONG, f"the chain has more than {MAX_CHAIN_BYTES} bytes")
    if len(distinct) > MAX_CERTIFICATES:
        _refuse(ChainCode.TOO_LONG, f"the chain has more than {MAX_CERTIFICATES} certificates")
    read = list(map(read_certificate, distinct))
    if read[0] is None:
        _refuse(ChainCode.MALFORMED, "the server's own certificate cannot be read")
    return [certificate for certificate in read if certificate is not None]


def _find_path(
    leaf: Certificate, others: Sequence[Certificate], anchors: TrustAnchors, at: datetime
) -> list[Certificate]:
    """From the leaf to a root.

    OpenSSL takes the first issuer that fits by name and never goes back, as the agents'
    verifiers do. So where certificates share a name, it is asked once for each choice.
    """
    known = {_der(c.openssl): c for c in (*anchors.certificates, leaf, *others)}
    failures: list[_Refused] = []
    for trusted, untrusted in product(_choices(anchors.certificates), _choices(others)):
        store = crypto.X509Store()
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        store.set_time(at.astimezone(UTC))
        for certificate in trusted:
            store.add_cert(certificate.openssl)
        context = crypto.X509StoreContext(store, leaf.openssl, [c.openssl for c in untrusted])
        try:
            return [known[_der(found)] for found in context.get_verified_chain()]
        except crypto.X509StoreContextError as error:
            number, _, text = error.errors
            at_fault = known.get(_der(error.certificate), leaf)
            failures.append(_explain(number, text, at_fault, leaf, anchors))
    # One that did lead to a root says more than one that did not.
    raise next((f for f in failures if f.code is not ChainCode.WRONG_ISSUER), failures[0])


def _der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def _choices(certificates: Sequence[Certificate]) -> Iterator[Sequence[Certificate]]:
    """All of them; then, if some share a name, each way to take one of each name."""
    by_name: dict[str, list[Certificate]] = {}
    for certificate in certificates:
        by_name.setdefault(certificate.summary.subject, []).append(certificate)
    one_of_each: Iterable[Sequence[Certificate]] = product(*by_name.values())
    if len(by_name) == len(certificates):
        one_of_each = ()
    return islice(chain((certificates,), one_of_each), MAX_CHOICES)


def _explain(
    number: int, text: str, at_fault: Certificate, leaf: Certificate, anchors: TrustAnchors
) -> _Refused:
    code = _CODES.get(number, ChainCode.FORBIDDEN_PATH)
    match code:
        case ChainCode.WRONG_ISSUER:
            reason = (
                f"it does not lead to a trusted root ({anchors.name}); "
                f"it names as its issuer {leaf.summary.issuer}"
            )
        case ChainCode.EXPIRED:
            reason = f"{_whose(at_fault)} expired on {at_fault.summary.not_after:%F %T} UTC"
        case ChainCode.NOT_YET_VALID:
            reason = f"{_whose(at_fault)} is valid from {at_fault.summary.not_before:%F %T} UTC on"
        case _:
            reason = f"{_whose(at_fault)} does not pass: {text}"
    return _Refused(code, reason)


def _whose(certificate: Certificate) -> str:
    return f"the certificate of {certificate.summary.subject or 'an empty subject'}"


def _check_path(path: Sequence[Certificate]) -> None:
    """What OpenSSL leaves out. The root is trusted for its key alone."""
    for certificate in path:
        whose = _whose(certificate)
        below_root = certificate is not path[-1]
        if certificate.weak_key:
            _refuse(ChainCode.WEAK_KEY, f"{whose} has {certificate.weak_key}")
        if below_root and certificate.weak_signature:
            _refuse(ChainCode.WEAK_SIGNATURE, f"{whose} has {certificate.weak_signature}")
        if below_root and certificate is not path[0] and not certificate.is_ca:
            _refuse(ChainCode.FORBIDDEN_PATH, f"{whose} must not issue others")
        if (below_root or certificate is path[0]) and not certificate.serves_tls:
            _refuse(ChainCode.WRONG_PURPOSE, f"{whose} is not for TLS servers")


def _names(leaf: Certificate) -> str:
    names = [*leaf.names, *map(str, leaf.addresses)]
    shown = [ascii(name[:MAX_SHOWN_CHARS])[1:-1] for name in names[:MAX_SHOWN_NAMES]]
    if len(names) > len(shown):
        shown.append(f"{len(names) - len(shown)} more")
    return ", ".join(shown) or "no name at all"
