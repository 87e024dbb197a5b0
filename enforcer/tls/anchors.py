"""The roots that a chain may end at: those shipped as package data, or a company's own."""

from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enforcer.policy.model import Issuer
from enforcer.tls.certificate import Certificate, read_certificate

# enforcer/data/README.md says where they are from.
_FILES: Final = {
    "ngrok": ("ngrok-root.pem",),
    "letsencrypt": ("isrg-root-x1.pem", "isrg-root-x2.pem"),
}
BUILTIN: Final = tuple(_FILES)


class TrustAnchors(NamedTuple):
    """Whose roots they are, and the roots. Each is trusted as it is, self-signed or not."""

    name: str
    certificates: tuple[Certificate, ...]


@cache
def builtin_anchors(name: str) -> TrustAnchors:
    """The shipped roots of ``ngrok`` or ``letsencrypt``."""
    data = files("enforcer") / "data"
    pem = b"".join((data / file).read_bytes() for file in _FILES[name])
    return load_anchors(pem, name)


@lru_cache(maxsize=64)
def issuer_anchors(issuer: Issuer) -> TrustAnchors:
    """The roots that a policy's issuer stands for; its own are PEM that load has read."""
    return load_anchors(issuer.roots_pem) if issuer.roots_pem else builtin_anchors(issuer.name)


def load_anchors(pem: bytes, name: str = "own") -> TrustAnchors:
    """Every certificate in the PEM text.

    Raises ValueError with a sentence, and after a semicolon what would be right.
    """
    try:
        ders = [c.public_bytes(Encoding.DER) for c in x509.load_pem_x509_certificates(pem)]
    except ValueError:
        raise ValueError(
            "there is no certificate that can be read; give PEM text, BEGIN CERTIFICATE and on"
        ) from None
    certificates = []
    for number, der in enumerate(dict.fromkeys(ders), start=1):
        certificate = read_certificate(der)
        if certificate is None:
            raise ValueError(f"certificate {number} cannot be read; replace it or leave it out")
        certificates.append(certificate)
    return TrustAnchors(name, tuple(certificates))
