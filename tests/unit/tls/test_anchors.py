"""The shipped roots are the ones that they say they are, and a bad file is told in a sentence."""

import pki
import pytest

from enforcer.tls.anchors import BUILTIN, builtin_anchors, load_anchors

FINGERPRINTS = {
    "ngrok": ["596e85a53d955d3d5724e9427c2f2c621870d9f6720b68f9a0a8b26e8b6e1494"],
    "letsencrypt": [
        "96bcec06264976f37460779acf28c5a7cfe8a3c0aae11a8ffcee05c0bddf08c6",
        "69729b8e15a86efc177a57afb7171dfc64add28c2fca8cf1507e34453ccb1470",
    ],
}
KEYS = {
    "ngrok": ["0c5b00b1bfa7b69ecb0753532d52bb10061483659e7cdd3ca16c86b741efa53a"],
    "letsencrypt": [
        "0b9fa5a59eed715c26c1020c711b4f6ec42d58b0015e14337a39dad301c5afc3",
        "762195c225586ee6c0237456e2107dc54f1efc21f61a792ebd515913cce68332",
    ],
}


@pytest.mark.parametrize("name", BUILTIN)
def test_shipped_roots_have_the_published_fingerprints_and_keys(name):
    anchors = builtin_anchors(name)
    summaries = [certificate.summary for certificate in anchors.certificates]
    assert anchors.name == name
    assert [summary.sha256 for summary in summaries] == FINGERPRINTS[name]
    assert [summary.spki_sha256 for summary in summaries] == KEYS[name]


def test_the_root_of_ngrok_is_read_although_it_ends_in_the_year_4760():
    (root,) = builtin_anchors("ngrok").certificates
    assert root.summary.not_after == pki.NGROK_ROOT_NOT_AFTER


def test_the_root_of_ngrok_is_the_one_inside_the_agent():
    """The agent SDK carries it as text in its library."""
    import importlib.util
    from importlib.resources import files
    from pathlib import Path

    spec = importlib.util.find_spec("ngrok")
    if spec is None or spec.origin is None:
        pytest.skip("the ngrok wheel is not installed")
    libraries = [path.read_bytes() for path in Path(spec.origin).parent.glob("ngrok*.so")]
    shipped = (files("enforcer") / "data" / "ngrok-root.pem").read_bytes()
    assert any(shipped.strip() in library for library in libraries)


def test_own_roots_are_read_once_each():
    root, other = pki.ngrok_like().root_pem, pki.letsencrypt_like().root_pem
    anchors = load_anchors(b"of our own\n" + root + other + root, "roots.pem")
    assert anchors.name == "roots.pem"
    assert [certificate.summary.subject for certificate in anchors.certificates] == [
        "C=US,ST=California,L=San Francisco,O=ngrok Inc,OU=prod,CN=Root CA",
        "CN=ISRG Root X1,O=Internet Security Research Group,C=US",
    ]


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"\xff\xfe",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        pki.ngrok_like().root_pem.replace(b"A", b"B"),
        pki.ngrok_like().leaf("a.example").key_pem,
    ],
)
def test_file_without_a_certificate_is_told_in_a_sentence(pem):
    with pytest.raises(ValueError, match=r"no certificate that can be read; give PEM text"):
        load_anchors(pem)
