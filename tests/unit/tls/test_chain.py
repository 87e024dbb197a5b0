"""Chains as agents would judge them: what either accepts, what both refuse."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pki
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from enforcer.tls.anchors import builtin_anchors, load_anchors
from enforcer.tls.chain import MAX_CERTIFICATES, MAX_CHAIN_BYTES, ChainCode, verify_chain

HOST = "connect.example.com"
NGROK = pki.ngrok_like()
IMPOSTOR = pki.ngrok_like(keys="impostor")
LETSENCRYPT = pki.letsencrypt_like()
ANCHORS = load_anchors(NGROK.root_pem, "ngrok")
NOW = datetime.now(UTC)  # noqa: TID251 pki makes leaves that are valid as of now
DAY = timedelta(days=1)


def judge(chain, host=HOST, anchors=ANCHORS, at=NOW):
    return verify_chain(chain, host, anchors, at)


def der(certificate):
    return certificate.public_bytes(Encoding.DER)


def below(authority, subject, key_label, *, path_length=None, extensions=None):
    """An authority whose intermediate stands below another's."""
    key = pki.cached_rsa(key_label)
    certificate = pki.issue(
        subject=pki.name(CN=subject),
        key=key,
        issuer=authority.intermediate.subject,
        issuer_key=authority.intermediate_key,
        not_before=NOW - DAY,
        not_after=NOW + DAY,
        extensions=pki.ca_extensions(path_length) if extensions is None else extensions,
    )
    return pki.Authority(authority.root, authority.root_key, certificate, key)


def test_chain_of_the_expected_issuer_is_accepted():
    result = judge(NGROK.leaf(HOST).chain_der)
    assert result.accepted
    assert result.code is ChainCode.ACCEPTED
    assert result.issuer == "C=US,ST=California,O=ngrok Inc,OU=prod,CN=Intermediate CA"
    assert [certificate.subject for certificate in result.path] == [
        f"CN={HOST}",
        "C=US,ST=California,O=ngrok Inc,OU=prod,CN=Intermediate CA",
        "C=US,ST=California,L=San Francisco,O=ngrok Inc,OU=prod,CN=Root CA",
    ]
    assert result.path[-1].not_after.year == 4760


@pytest.mark.parametrize(
    "shape",
    [
        {"aki": False},
        {"ski": False},
        {"server_auth": None},
        {"ca": None},
        {"aki": False, "ski": False, "server_auth": None, "ca": None},
        {"ca": True},  # Go takes it, rustls does not
        {"common_name": "something else"},
        {"key": "rsa"},
        {"key": "p384"},
        {"key": "ed25519"},
        {"with_root": True},
    ],
    ids=str,
)
def test_leaf_with_only_what_an_agent_needs_is_accepted(shape):
    assert judge(NGROK.leaf(HOST, **shape).chain_der).accepted


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["*.example.com"], HOST),
        (["other.example", HOST], HOST),
        (["192.0.2.1"], "192.0.2.1"),
        (["2001:db8::1"], "2001:db8::1"),
    ],
)
def test_leaf_for_the_host_among_others_is_accepted(names, host):
    assert judge(NGROK.leaf(*names).chain_der, host).accepted


def test_key_usage_of_a_leaf_is_not_looked_at():
    usage = pki.ca_extensions(None)[1]
    assert judge(NGROK.leaf(HOST, extra=[usage]).chain_der).accepted


def test_any_extended_key_usage_serves_tls():
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    assert judge(NGROK.leaf(HOST, server_auth=None, extra=[(usage, True)]).chain_der).accepted


def test_order_and_extras_and_duplicates_are_no_matter():
    leaf, intermediate = NGROK.leaf(HOST).chain_der
    extras = [LETSENCRYPT.root_der, b"not a certificate", NGROK.root_der, der(IMPOSTOR.root)]
    assert judge([leaf, *extras, intermediate, intermediate, leaf]).accepted


@pytest.mark.parametrize("aki", [True, False])
def test_intermediate_of_the_same_name_and_another_key_does_not_hide_the_right_one(aki):
    leaf, intermediate = NGROK.leaf(HOST, aki=aki).chain_der
    assert judge([leaf, der(IMPOSTOR.intermediate), intermediate]).accepted


@pytest.mark.parametrize("order", [1, -1])
def test_intermediate_that_leads_elsewhere_does_not_hide_the_one_that_leads_to_a_root(order):
    """Cross-signing: one name, one key, two issuers, of which one is trusted."""
    elsewhere = NGROK.with_intermediate(
        issuer=LETSENCRYPT.root.subject, issuer_key=LETSENCRYPT.root_key, extensions=[]
    )
    leaf, intermediate = NGROK.leaf(HOST).chain_der
    rest = [der(elsewhere.intermediate), intermediate][::order]
    assert judge([leaf, *rest]).accepted


@pytest.mark.parametrize("order", [1, -1])
def test_roots_of_the_same_name_do_not_hide_each_other(order):
    bare = NGROK.with_intermediate(extensions=pki.ca_extensions(0))  # names no key of its issuer
    roots = [NGROK.root_pem, IMPOSTOR.root_pem][::order]
    assert judge(bare.leaf(HOST).chain_der, anchors=load_anchors(b"".join(roots))).accepted


def test_renewed_intermediate_is_found_beside_the_expired_one():
    old = NGROK.with_intermediate(not_after=NOW - DAY)
    leaf, intermediate = NGROK.leaf(HOST).chain_der
    assert judge([leaf, der(old.intermediate), intermediate]).accepted


def test_pinned_intermediate_is_enough():
    anchors = load_anchors(NGROK.intermediate.public_bytes(Encoding.PEM))
    result = judge(NGROK.leaf(HOST).chain_der[:1], anchors=anchors)
    assert result.accepted
    assert len(result.path) == 2


@pytest.mark.parametrize(
    "chain",
    [
        IMPOSTOR.leaf(HOST).chain_der,
        IMPOSTOR.leaf(HOST, with_root=True).chain_der,
        IMPOSTOR.leaf(HOST, aki=False, ski=False).chain_der,
        # The real intermediate beside it proves nothing.
        [*IMPOSTOR.leaf(HOST, aki=False).chain_der[:1], der(NGROK.intermediate)],
        [*IMPOSTOR.leaf(HOST, aki=False).chain_der, der(NGROK.intermediate), NGROK.root_der],
        LETSENCRYPT.leaf(HOST).chain_der,
        NGROK.leaf(HOST).chain_der[:1],
    ],
)
def test_name_of_the_issuer_alone_proves_nothing(chain):
    result = judge(chain)
    assert result.code is ChainCode.WRONG_ISSUER
    assert "(ngrok)" in result.reason
    assert len(result.path) == len(set(chain))


@pytest.mark.parametrize("name", ["ngrok", "letsencrypt"])
@pytest.mark.parametrize("authority", [NGROK, LETSENCRYPT])
def test_authorities_shaped_like_the_real_ones_are_not_the_real_ones(name, authority):
    result = judge(authority.leaf(HOST, with_root=True).chain_der, anchors=builtin_anchors(name))
    assert result.code is ChainCode.WRONG_ISSUER


@pytest.mark.parametrize(("trusted", "other"), [(NGROK, LETSENCRYPT), (LETSENCRYPT, NGROK)])
def test_each_issuer_is_refused_where_the_other_is_expected(trusted, other):
    anchors = load_anchors(trusted.root_pem)
    assert judge(trusted.leaf(HOST).chain_der, anchors=anchors).accepted
    assert judge(other.leaf(HOST).chain_der, anchors=anchors).code is ChainCode.WRONG_ISSUER


def test_the_trust_store_of_the_system_is_not_looked_at(monkeypatch, tmp_path):
    roots = tmp_path / "roots.pem"
    roots.write_bytes(LETSENCRYPT.root_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    assert judge(LETSENCRYPT.leaf(HOST).chain_der).code is ChainCode.WRONG_ISSUER


def test_forged_signature_is_the_wrong_issuer():
    leaf, intermediate = NGROK.leaf(HOST).chain_der
    forged = leaf[:-1] + bytes([leaf[-1] ^ 1])
    assert judge([forged, intermediate]).code is ChainCode.WRONG_ISSUER


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (NOW - 2 * DAY, ChainCode.NOT_YET_VALID),
        (NOW + 91 * DAY, ChainCode.EXPIRED),
        (datetime(1, 1, 1, tzinfo=UTC), ChainCode.NOT_YET_VALID),
        (datetime(9999, 12, 31, tzinfo=UTC), ChainCode.EXPIRED),
    ],
)
def test_leaf_is_judged_as_of_the_time_given(at, code):
    result = judge(NGROK.leaf(HOST).chain_der, at=at)
    assert result.code is code
    assert len(result.path) == 2


def test_validity_is_exact_to_a_second():
    """To OpenSSL the last second is outside; to RFC 5280 4.1.2.5 and the agents, inside."""
    start, end = NOW.replace(microsecond=0), NOW.replace(microsecond=0) + DAY
    chain = NGROK.leaf(HOST, not_before=start, not_after=end).chain_der
    second = timedelta(seconds=1)
    codes = [judge(chain, at=at).code for at in (start - second, start, end - second, end + second)]
    assert codes == ["not_yet_valid", "accepted", "accepted", "expired"]


def test_time_is_a_moment_whatever_the_zone_it_is_told_in():
    chain = NGROK.leaf(HOST, not_after=NOW + timedelta(hours=1)).chain_der
    for hours in (-14, 14):
        at = NOW.astimezone(timezone(timedelta(hours=hours)))
        assert judge(chain, at=at).accepted


def test_reason_of_an_expired_one_says_which_and_when():
    old = NGROK.with_intermediate(not_after=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    reason = judge(old.leaf(HOST).chain_der).reason
    assert "Intermediate CA expired on 2026-01-02 03:04:05 UTC" in reason


def test_chain_still_verifies_a_thousand_years_from_now():
    """The root is valid until 4760, and 64 bits hold that."""
    at = datetime(3026, 1, 1, tzinfo=UTC)
    late = NGROK.with_intermediate(not_after=at + DAY)
    assert judge(late.leaf(HOST, not_after=at + DAY).chain_der, at=at).accepted


@pytest.mark.parametrize(
    ("leaf", "host"),
    [
        (NGROK.leaf("other.example.com"), HOST),
        (NGROK.leaf("*.example.com"), "a.connect.example.com"),
        (NGROK.leaf(HOST, san=False), HOST),  # a name in the subject alone
        (NGROK.leaf("example.com", common_name=HOST), HOST),
        (NGROK.leaf(HOST), "192.0.2.1"),
    ],
)
def test_leaf_for_another_host_is_refused(leaf, host):
    result = judge(leaf.chain_der, host)
    assert result.code is ChainCode.WRONG_HOST
    assert host in result.reason


def test_reason_of_a_wrong_host_names_a_few_of_the_right_ones():
    names = [f"n{number}.example" for number in range(50)]
    reason = judge(NGROK.leaf(*names).chain_der).reason
    assert reason.endswith("but for n0.example, n1.example, n2.example, 47 more")


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ({"server_auth": False}, ChainCode.WRONG_PURPOSE),
        ({"key": "rsa1024"}, ChainCode.WEAK_KEY),
        (
            {"extra": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""), True)]},
            ChainCode.FORBIDDEN_PATH,
        ),
    ],
)
def test_leaf_that_agents_refuse_is_refused(shape, code):
    assert judge(NGROK.leaf(HOST, **shape).chain_der).code is code


def test_path_longer_than_the_intermediate_allows_is_refused():
    lower = below(NGROK, "lower", "lower")
    leaf = lower.leaf(HOST)
    result = judge([*leaf.chain_der, der(NGROK.intermediate)])
    assert result.code is ChainCode.FORBIDDEN_PATH
    assert "path length" in result.reason


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [(x509.BasicConstraints(ca=False, path_length=None), True)],
        pki.ca_extensions(None)[1:],  # a key usage alone is not enough
    ],
    ids=["nothing said", "says no", "key usage alone"],
)
def test_certificate_that_is_no_authority_issues_nothing(extensions):
    upper = NGROK.with_intermediate(extensions=pki.ca_extensions(None))
    leaf = below(upper, "lower", "lower", extensions=extensions).leaf(HOST)
    result = judge([*leaf.chain_der, der(upper.intermediate)])
    assert result.code is ChainCode.FORBIDDEN_PATH


def test_leaf_of_the_right_issuer_issues_nothing():
    """Whoever has an ngrok certificate for a name of his own is not an authority."""
    own = NGROK.leaf("mallory.example", key="rsa")
    forged = pki.Authority(NGROK.root, NGROK.root_key, own.certificate, own.key).leaf(HOST)
    assert not judge([*forged.chain_der, der(NGROK.intermediate)]).accepted


def test_intermediate_for_another_purpose_is_refused():
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    other = NGROK.with_intermediate(extensions=[*pki.ca_extensions(0), (usage, False)])
    assert judge(other.leaf(HOST).chain_der).code is ChainCode.WRONG_PURPOSE


def test_names_that_the_intermediate_must_not_issue_are_refused():
    constraint = x509.NameConstraints([x509.DNSName("example.org")], None)
    narrow = NGROK.with_intermediate(extensions=[*pki.ca_extensions(0), (constraint, True)])
    assert judge(narrow.leaf(HOST).chain_der).code is ChainCode.FORBIDDEN_PATH
    assert judge(narrow.leaf("a.example.org").chain_der, "a.example.org").accepted


def test_weak_intermediate_is_refused():
    key = pki.cached_rsa("weak leaf", 1024)
    weak = NGROK.with_intermediate(key=key, extensions=pki.ca_extensions(0))
    leaf = replace(weak, intermediate_key=key).leaf(HOST)
    assert judge(leaf.chain_der).code is ChainCode.WEAK_KEY


def test_signature_that_no_agent_takes_is_refused():
    """SHA-224 stands for SHA-1 here, with which cryptography signs no more."""
    leaf = NGROK.leaf(HOST)
    builder = x509.CertificateBuilder(
        leaf.certificate.issuer,
        leaf.certificate.subject,
        leaf.certificate.public_key(),
        7,
        NOW.replace(tzinfo=None) - DAY,
        NOW.replace(tzinfo=None) + DAY,
        list(leaf.certificate.extensions),
    )
    signed = builder.sign(NGROK.intermediate_key, hashes.SHA224())
    result = judge([der(signed), der(NGROK.intermediate)])
    assert result.code is ChainCode.WEAK_SIGNATURE
    assert "sha224" in result.reason


@pytest.mark.parametrize(
    ("chain", "code"),
    [
        ([], ChainCode.NO_CERTIFICATE),
        ([b""], ChainCode.MALFORMED),
        ([b"garbage", *NGROK.leaf(HOST).chain_der], ChainCode.MALFORMED),
        ([bytes(MAX_CHAIN_BYTES + 1)], ChainCode.TOO_LONG),
        ([b"%d" % number for number in range(MAX_CERTIFICATES + 1)], ChainCode.TOO_LONG),
    ],
    ids=["none", "empty", "garbage", "too many bytes", "too many certificates"],
)
def test_what_is_no_chain_has_no_path(chain, code):
    result = judge(chain)
    assert (result.code, result.issuer, result.path) == (code, "unknown", ())


def test_chain_of_a_thousand_certificates_is_refused_at_once():
    leaf = NGROK.leaf(HOST).chain_der[0]
    deep = [leaf, *(leaf[:-2] + number.to_bytes(2, "big") for number in range(1000))]
    began_s = time.process_time()
    assert judge(deep).code is ChainCode.TOO_LONG
    assert time.process_time() - began_s < 0.05


def test_many_certificates_of_one_name_are_not_tried_for_ever():
    """Each choice among them is a call of OpenSSL, and 7 times 7 are more than it gets."""

    def seven(subject):
        return [
            der(NGROK.with_intermediate(subject=subject, not_after=NOW + day * DAY).intermediate)
            for day in range(1, 8)
        ]

    leaf = IMPOSTOR.leaf(HOST, aki=False).chain_der[0]
    chain = [leaf, *seven(NGROK.intermediate.subject), *seven(NGROK.root.subject)]
    began_s = time.process_time()
    result = judge(chain, anchors=load_anchors(NGROK.root_pem + IMPOSTOR.root_pem))
    assert time.process_time() - began_s < 0.5
    assert not result.accepted
