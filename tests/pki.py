"""A test PKI: authorities shaped like ngrok's and Let's Encrypt's, and leaves of any shape.

For unit tests and for the lab alike; no product import, so that the product cannot
judge itself. Everything is made once per process: the same call gives the same
authority, and ``keys="impostor"`` gives one of the same names with other keys.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = CertificateIssuerPrivateKeyTypes
Extension = tuple[x509.ExtensionType, bool]  # the extension, and whether it is critical

MAX_COMMON_NAME = 64  # RFC 5280 ub-common-name; cryptography refuses more
NGROK_ROOT_NOT_BEFORE = datetime(2022, 8, 31, 15, 17, 21, tzinfo=UTC)
NGROK_ROOT_NOT_AFTER = datetime(4760, 7, 28, 15, 17, 21, tzinfo=UTC)
# The real intermediates end within years; a test PKI outlives them.
INTERMEDIATE_NOT_AFTER = datetime(2092, 8, 28, 14, 59, 48, tzinfo=UTC)


@dataclass(frozen=True)
class Leaf:
    """A leaf with the chain that a server presents for it."""

    certificates: tuple[x509.Certificate, ...]
    key: Key

    @property
    def certificate(self) -> x509.Certificate:
        return self.certificates[0]

    @property
    def chain_der(self) -> tuple[bytes, ...]:
        return tuple(c.public_bytes(serialization.Encoding.DER) for c in self.certificates)

    @property
    def chain_pem(self) -> bytes:
        return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in self.certificates)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def write(self, directory: Path, stem: str) -> tuple[Path, Path]:
        """``stem.pem`` (the chain) and ``stem.key``, as a server wants them."""
        chain_path, key_path = directory / f"{stem}.pem", directory / f"{stem}.key"
        chain_path.write_bytes(self.chain_pem)
        key_path.touch(mode=0o600)
        key_path.write_bytes(self.key_pem)
        return chain_path, key_path


@dataclass(frozen=True)
class Authority:
    """A root, and the intermediate that issues the leaves."""

    root: x509.Certificate
    root_key: Key
    intermediate: x509.Certificate
    intermediate_key: Key

    @property
    def root_pem(self) -> bytes:
        return self.root.public_bytes(serialization.Encoding.PEM)

    @property
    def root_der(self) -> bytes:
        return self.root.public_bytes(serialization.Encoding.DER)

    def leaf(
        self,
        *hosts: str,
        key: str = "ec",
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        aki: bool = True,
        ski: bool = True,
        server_auth: bool | None = True,
        san: bool = True,
        ca: bool | None = False,
        with_root: bool = False,
        common_name: str | None = None,
        extra: Sequence[Extension] = (),
    ) -> Leaf:
        """A leaf for host names and addresses; by default valid from yesterday for 90 days.

        ``key``: ec, rsa, rsa1024, p384, ed25519. ``server_auth``: False is clientAuth
        alone, None leaves the extended key usage out. ``ca=None`` leaves the basic
        constraints out. ``san=False`` leaves the name in the subject alone.
        """
        now = datetime.fromtimestamp(int(time.time()), UTC)
        leaf_key = new_key(key)
        extensions: list[Extension] = list(extra)
        if ca is not None:
            extensions.append((x509.BasicConstraints(ca=ca, path_length=None), True))
        if ski:
            extensions.append((subject_key_id(leaf_key), False))
        if aki:
            extensions.append((authority_key_id(self.intermediate_key), False))
        if server_auth is not None:
            usage = (
                ExtendedKeyUsageOID.SERVER_AUTH if server_auth else ExtendedKeyUsageOID.CLIENT_AUTH
            )
            extensions.append((x509.ExtendedKeyUsage([usage]), False))
        if san:
            names = [general_name(host) for host in hosts]
            extensions.append((x509.SubjectAlternativeName(names), False))
        certificate = issue(
            subject=name(CN=(common_name or hosts[0])[:MAX_COMMON_NAME]),
            key=leaf_key,
            issuer=self.intermediate.subject,
            issuer_key=self.intermediate_key,
            not_before=not_before or now - timedelta(days=1),
            not_after=not_after or now + timedelta(days=90),
            extensions=extensions,
        )
        chain = (certificate, self.intermediate)
        return Leaf((*chain, self.root) if with_root else chain, leaf_key)

    def with_intermediate(self, **changes: object) -> "Authority":
        """The same root, with an intermediate that differs in the given arguments of issue()."""
        arguments: dict[str, object] = {
            "subject": self.intermediate.subject,
            "key": self.intermediate_key,
            "issuer": self.root.subject,
            "issuer_key": self.root_key,
            "not_before": self.intermediate.not_valid_before_utc,
            "not_after": self.intermediate.not_valid_after_utc,
            "extensions": [(e.value, e.critical) for e in self.intermediate.extensions],
        }
        return replace(self, intermediate=issue(**{**arguments, **changes}))  # type: ignore[arg-type]


@cache
def ngrok_like(organization: str = "ngrok Inc", *, keys: str = "ngrok") -> Authority:
    """Root until the year 4760, intermediate with path length 0, both RSA-2048."""
    root_key, intermediate_key = cached_rsa(f"{keys} root"), cached_rsa(f"{keys} intermediate")
    # ngrok's names run from the common name to the country, against the usual order.
    root_name = name(
        CN="Root CA", OU="prod", O=organization, L="San Francisco", ST="California", C="US"
    )
    crl = (crl_distribution_point("http://crl.ngrok.com/ngrok.crl"), False)
    root = issue(
        subject=root_name,
        key=root_key,
        issuer=root_name,
        issuer_key=root_key,
        not_before=NGROK_ROOT_NOT_BEFORE,
        not_after=NGROK_ROOT_NOT_AFTER,
        extensions=[(subject_key_id(root_key), False), *ca_extensions(None), crl],
    )
    intermediate = issue(
        subject=name(CN="Intermediate CA", OU="prod", O=organization, ST="California", C="US"),
        key=intermediate_key,
        issuer=root_name,
        issuer_key=root_key,
        not_before=NGROK_ROOT_NOT_BEFORE,
        not_after=INTERMEDIATE_NOT_AFTER,
        extensions=[
            (subject_key_id(intermediate_key), False),
            (authority_key_id(root_key), False),
            *ca_extensions(0),
            crl,
        ],
    )
    return Authority(root, root_key, intermediate, intermediate_key)


@cache
def letsencrypt_like(*, keys: str = "letsencrypt") -> Authority:
    """Shaped like ISRG Root X1 (but RSA-2048, for speed) and R10."""
    root_key, intermediate_key = cached_rsa(f"{keys} root"), cached_rsa(f"{keys} intermediate")
    root_name = name(C="US", O="Internet Security Research Group", CN="ISRG Root X1")
    root = issue(
        subject=root_name,
        key=root_key,
        issuer=root_name,
        issuer_key=root_key,
        not_before=datetime(2015, 6, 4, 11, 4, 38, tzinfo=UTC),
        not_after=INTERMEDIATE_NOT_AFTER,
        extensions=[*ca_extensions(None), (subject_key_id(root_key), False)],
    )
    intermediate = issue(
        subject=name(C="US", O="Let's Encrypt", CN="R10"),
        key=intermediate_key,
        issuer=root_name,
        issuer_key=root_key,
        not_before=datetime(2024, 3, 13, tzinfo=UTC),
        not_after=INTERMEDIATE_NOT_AFTER,
        extensions=[
            *ca_extensions(0, digital_signature=True),
            (
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
                ),
                False,
            ),
            (subject_key_id(intermediate_key), False),
            (authority_key_id(root_key), False),
            (crl_distribution_point("http://x1.c.lencr.org/"), False),
        ],
    )
    return Authority(root, root_key, intermediate, intermediate_key)


def issue(
    *,
    subject: x509.Name,
    key: Key,
    issuer: x509.Name,
    issuer_key: Key,
    not_before: datetime,
    not_after: datetime,
    extensions: Sequence[Extension],
) -> x509.Certificate:
    """One certificate, with these extensions in this order and nothing else."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before.astimezone(UTC).replace(tzinfo=None))
        .not_valid_after(not_after.astimezone(UTC).replace(tzinfo=None))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    unhashed = isinstance(issuer_key, ed25519.Ed25519PrivateKey)
    return builder.sign(issuer_key, None if unhashed else hashes.SHA256())


def name(**attributes: str) -> x509.Name:
    """A distinguished name with its parts in the order given."""
    oids = {
        "CN": NameOID.COMMON_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "L": NameOID.LOCALITY_NAME,
        "ST": NameOID.STATE_OR_PROVINCE_NAME,
        "C": NameOID.COUNTRY_NAME,
    }
    return x509.Name([x509.NameAttribute(oids[part], text) for part, text in attributes.items()])


def general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def ca_extensions(path_length: int | None, *, digital_signature: bool = False) -> list[Extension]:
    usage = x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return [(x509.BasicConstraints(ca=True, path_length=path_length), True), (usage, True)]


def crl_distribution_point(url: str) -> x509.CRLDistributionPoints:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return x509.CRLDistributionPoints([point])


def subject_key_id(key: Key) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def authority_key_id(issuer_key: Key) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())


def new_key(kind: str) -> Key:
    """EC and Ed25519 keys are new each time; RSA keys are slow to make, hence shared."""
    match kind:
        case "ec":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "rsa":
            return cached_rsa("leaf")
        case "rsa1024":
            return cached_rsa("weak leaf", 1024)
    raise ValueError(f"no kind of key is called {kind!r}")


@cache
def cached_rsa(label: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)
