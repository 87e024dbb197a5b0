"""What is read of a certificate, and that hostile names cannot do harm where they are shown."""

import pki
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from enforcer.tls.certificate import read_certificate

AUTHORITY = pki.ngrok_like()


def read(leaf):
    return read_certificate(leaf.chain_der[0])


def issued(key, subject=None):
    """A certificate for a key that pki.new_key does not make."""
    certificate = pki.issue(
        subject=subject or pki.name(CN="a.example"),
        key=key,
        issuer=AUTHORITY.intermediate.subject,
        issuer_key=AUTHORITY.intermediate_key,
        not_before=pki.NGROK_ROOT_NOT_BEFORE,
        not_after=pki.NGROK_ROOT_NOT_AFTER,
        extensions=[],
    )
    return certificate.public_bytes(Encoding.DER)


def test_names_and_addresses_are_the_alternative_ones():
    leaf = read(AUTHORITY.leaf("a.example", "192.0.2.1", "2001:db8::1", common_name="b.example"))
    assert leaf.names == ("a.example",)
    assert [str(address) for address in leaf.addresses] == ["192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize("key", ["ec", "p384", "rsa", "ed25519"])
def test_keys_that_agents_take_are_not_weak(key):
    leaf = read(AUTHORITY.leaf("a.example", key=key))
    assert (leaf.weak_key, leaf.weak_signature) == ("", "")


@pytest.mark.parametrize(
    ("key", "weakness"),
    [
        (pki.cached_rsa("weak leaf", 1024), "an RSA key of 1024 bits"),
        (ec.generate_private_key(ec.SECP256K1()), "a key on the curve secp256k1"),
        (ed448.Ed448PrivateKey.generate(), "a key of a kind that no agent takes"),
    ],
)
def test_keys_that_no_agent_takes_are_weak(key, weakness):
    assert read_certificate(issued(key)).weak_key == weakness


def test_subject_is_shown_without_what_a_terminal_acts_on():
    hostile = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\x1b[2J\r\n\u202eb")])
    summary = read_certificate(issued(pki.new_key("ec"), hostile)).summary
    assert summary.subject == "CN=a\\u001b[2J\\u000d\\u000a\\u202eb"


def test_long_subject_is_cut():
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x" * 60)] * 100
    summary = read_certificate(issued(pki.new_key("ec"), x509.Name(units))).summary
    assert len(summary.subject) < 300
    assert summary.subject.endswith("...")


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x00", AUTHORITY.root_der[:-1]])
def test_what_is_no_certificate_is_none(der):
    assert read_certificate(der) is None
