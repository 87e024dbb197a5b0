"""One certificate: what is shown of it, and what a verdict on its path depends on.

Everything is read here and at once, so that nothing raises later: cryptography parses
extensions and keys only when they are asked for.
"""

from datetime import datetime
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID
from OpenSSL import crypto

# What rustls takes; Go takes 1024 bits too, which NIST SP 800-131A disallows since 2014.
_RSA_BITS: Final = range(2048, 8192 + 1)
# What Go or rustls take.
_CURVES: Final = frozenset({"secp224r1", "secp256r1", "secp384r1", "secp521r1"})
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
# ExtendedKeyUsage values that make a TLS server (RFC 5280 4.2.1.12).
_SERVER_USAGES: Final = frozenset(
    {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)
# A name has a handful of parts; what is longer was made to fill a log.
_MAX_NAME_CHARS: Final = 256


class CertificateSummary(NamedTuple):
    """What is told of a certificate. Names are RFC 4514 text, printable and bounded."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    sha256: str
    spki_sha256: str


class Certificate(NamedTuple):
    """A certificate that can be read; whether it is any good is not said.

    ``weak_key`` and ``weak_signature`` say what is wrong with them, or are empty.
    ``serves_tls`` is true unless an extended key usage is there and says otherwise.
    """

    openssl: crypto.X509
    summary: CertificateSummary
    names: tuple[str, ...]
    addresses: tuple[IPv4Address | IPv6Address, ...]
    is_ca: bool
    serves_tls: bool
    weak_key: str
    weak_signature: str


def read_certificate(der: bytes) -> Certificate | None:
    """The certificate, or None for bytes that are none. Never raises."""
    try:
        parsed = x509.load_der_x509_certificate(der)
        return _facts(der, parsed, crypto.load_certificate(crypto.FILETYPE_ASN1, der))
    except Exception:  # noqa: BLE001 a dozen kinds, which grow with each release of the parser
        return None


def _facts(der: bytes, parsed: x509.Certificate, openssl: crypto.X509) -> Certificate:
    extensions = {extension.oid: extension.value for extension in parsed.extensions}
    names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    alternatives = extensions.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if isinstance(alternatives, x509.SubjectAlternativeName):
        names = tuple(alternatives.get_values_for_type(x509.DNSName))
        addresses = tuple(
            address
            for address in alternatives.get_values_for_type(x509.IPAddress)
            if isinstance(address, IPv4Address | IPv6Address)
        )
    constraints = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    usages = extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
    key = _public_key(parsed)
    return Certificate(
        openssl=openssl,
        summary=CertificateSummary(
            subject=_text(parsed.subject),
            issuer=_text(parsed.issuer),
            not_before=parsed.not_valid_before_utc,
            not_after=parsed.not_valid_after_utc,
            sha256=sha256(der).hexdigest(),
            spki_sha256=_spki_sha256(key),
        ),
        names=names,
        addresses=addresses,
        is_ca=isinstance(constraints, x509.BasicConstraints) and constraints.ca,
        serves_tls=not isinstance(usages, x509.ExtendedKeyUsage)
        or not _SERVER_USAGES.isdisjoint(usages),
        weak_key=_weak_key(key),
        weak_signature=_weak_signature(parsed),
    )


def _text(name: x509.Name) -> str:
    """RFC 4514 text of at most _MAX_NAME_CHARS, with nothing in it that a terminal acts on."""
    text = name.rfc4514_string()
    if len(text) > _MAX_NAME_CHARS:
        text = f"{text[:_MAX_NAME_CHARS]}..."
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _public_key(parsed: x509.Certificate) -> CertificatePublicKeyTypes | None:
    """None for a kind of key that cryptography does not know."""
    try:
        return parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _spki_sha256(key: CertificatePublicKeyTypes | None) -> str:
    if key is None:
        return ""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _weak_key(key: CertificatePublicKeyTypes | None) -> str:
    match key:
        case rsa.RSAPublicKey() if key.key_size not in _RSA_BITS:
            return f"an RSA key of {key.key_size} bits"
        case ec.EllipticCurvePublicKey() if key.curve.name not in _CURVES:
            return f"a key on the curve {key.curve.name}"
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey() | ed25519.Ed25519PublicKey():
            return ""
    return "a key of a kind that no agent takes"


def _weak_signature(parsed: x509.Certificate) -> str:
    if parsed.signature_algorithm_oid == SignatureAlgorithmOID.ED25519:
        return ""
    try:
        hashed = parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        hashed = None
    if isinstance(hashed, _HASHES):
        return ""
    return f"a signature with {hashed.name}" if hashed else "a signature that no agent takes"
