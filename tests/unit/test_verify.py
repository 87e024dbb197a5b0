"""Off line: a chain in a file is judged as the gateway would; a bad question is told apart."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pki
import pytest

from enforcer.verify import VerifyError, verify_offline, verify_online

HOST = "connect.example.com"
NGROK = pki.ngrok_like()
IMPOSTOR = pki.ngrok_like(keys="impostor")


@pytest.fixture
def roots(tmp_path):
    path = tmp_path / "roots.pem"
    path.write_bytes(NGROK.root_pem)
    return str(path)


@pytest.fixture
def presented(tmp_path):
    """Writes a chain, and says where."""

    def write(leaf):
        return leaf.write(tmp_path, "chain")[0]

    return write


def test_accepted_chain_is_told_to_a_program(presented, roots):
    told = verify_offline(presented(NGROK.leaf(HOST)), HOST, roots, None).as_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["verdict"] == told["code"] == "accepted"
    assert told["issuer"].endswith("CN=Intermediate CA")
    assert told["expected"] == roots
    assert HOST in told["reason"]
    assert told["path"][0]["subject"] == f"CN={HOST}"
    assert told["path"][-1]["not_after"] == "4760-07-28T15:17:21+00:00"


def test_accepted_chain_is_told_to_a_person(presented, roots):
    lines = verify_offline(presented(NGROK.leaf(HOST)), HOST, roots, None).as_text().splitlines()
    assert lines[0].startswith(f"accepted: {HOST} by ")
    assert lines[1].startswith("reason    it is for connect.example.com")
    assert lines[-1].endswith("CN=Root CA (until 4760-07-28)")


@pytest.mark.parametrize(
    ("leaf", "host", "code"),
    [
        (IMPOSTOR.leaf(HOST), HOST, "wrong_issuer"),
        (NGROK.leaf(HOST), "other.example.com", "wrong_host"),
        (NGROK.leaf(HOST, not_after=datetime(2026, 1, 1, tzinfo=UTC),
                    not_before=datetime(2025, 1, 1, tzinfo=UTC)), HOST, "expired"),
    ],
)  # fmt: skip
def test_refused_chain_has_a_code_and_a_reason(presented, roots, leaf, host, code):
    told = verify_offline(presented(leaf), host, roots, None)
    assert not told.accepted
    assert (told.verdict, told.code) == ("refused", code)
    assert told.as_text().splitlines()[4].startswith("presented")


@pytest.mark.parametrize("expected", ["ngrok", "letsencrypt", None])
def test_test_authority_is_none_of_the_real_ones(presented, expected):
    told = verify_offline(presented(NGROK.leaf(HOST)), HOST, expected, None)
    assert told.code == "wrong_issuer"
    assert told.expected == (expected or "ngrok or letsencrypt")


@pytest.mark.parametrize(
    ("at", "code"),
    [
        ("2027-01-31T12:00:00Z", "expired"),
        ("2027-01-31T12:00:00+14:00", "expired"),
        ("2026-01-31T12:00:00", "accepted"),
        ("2026-01-31", "accepted"),
        ("2025-12-31T23:59:59Z", "not_yet_valid"),
    ],
)
def test_chain_is_judged_as_of_a_time(presented, roots, at, code):
    leaf = NGROK.leaf(
        HOST,
        not_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_after=datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert verify_offline(presented(leaf), HOST, roots, at).code == code


@pytest.mark.parametrize("host", ["CONNECT.example.com.", " connect.example.com"])
def test_host_is_folded(presented, roots, host):
    assert verify_offline(presented(NGROK.leaf(HOST)), host, roots, None).accepted


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_host_may_be_an_address(presented, roots, host):
    assert verify_offline(presented(NGROK.leaf(host)), host, roots, None).accepted


def test_text_and_keys_around_the_certificates_are_left_aside(tmp_path, roots):
    leaf = NGROK.leaf(HOST)
    path = tmp_path / "s_client.txt"
    path.write_bytes(
        b"depth=0 \xff\n" + leaf.key_pem + leaf.chain_pem + b"---\nServer certificate\n"
    )
    assert verify_offline(path, HOST, roots, None).accepted


def test_block_that_is_no_certificate_is_refused(tmp_path, roots):
    path = tmp_path / "garbage.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert verify_offline(path, HOST, roots, None).code == "malformed"


@pytest.mark.parametrize("content", [b"", b"nothing here", NGROK.leaf(HOST).key_pem])
def test_file_without_a_certificate_is_a_wrong_question(tmp_path, roots, content):
    path = tmp_path / "chain.pem"
    path.write_bytes(content)
    with pytest.raises(VerifyError, match="holds no certificate; give PEM text"):
        verify_offline(path, HOST, roots, None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"chain": "missing.pem"}, "missing.pem cannot be read: No such file"),
        ({"chain": "."}, "cannot be read: Is a directory"),
        ({"host": "not a name"}, "character that no host name has"),
        ({"host": ""}, "the name is empty"),
        ({"roots": "verisign"}, "--roots is ngrok, letsencrypt or a PEM file; verisign: No such"),
        ({"roots": "empty.pem"}, "empty.pem: there is no certificate that can be read"),
        ({"at": "tomorrow"}, "'tomorrow' is not a time such as"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "is not a time such as"),
    ],
)
def test_wrong_question_is_answered_with_what_is_wrong(
    tmp_path, monkeypatch, presented, roots, changes, says
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.pem").touch()
    chain = presented(NGROK.leaf(HOST))
    question = {"chain": str(chain), "host": HOST, "roots": roots, "at": None} | changes
    question["chain"] = tmp_path / question["chain"]
    with pytest.raises(VerifyError) as raised:
        verify_offline(**question)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("target", "address", "says"),
    [
        ("connect.example.com:https", None, "'https' is not a port"),
        ("connect.example.com:", None, "'' is not a port"),
        ("connect.example.com:0", None, "'0' is not a port"),
        ("connect.example.com:65536", None, "from 1 to 65535"),
        ("[2001:db8::1]:x", None, "'x' is not a port"),
        ("", None, "the name is empty"),
        ("a..example", None, "empty label"),
        ("connect.example.com", "nowhere", "--address: 'nowhere' does not appear to be"),
    ],
)
def test_wrong_target_is_answered_with_what_is_wrong(target, address, says):
    with pytest.raises(VerifyError) as raised:
        verify_online(target, address, None, None, None, 1.0)
    assert says in str(raised.value)


def test_off_line_nothing_heavy_is_imported(presented, roots):
    """What takes its time to import is what a command that answers at once must not need."""
    chain = presented(NGROK.leaf(HOST))
    program = (
        "import sys; from pathlib import Path; from enforcer.verify import verify_offline;"
        f"assert verify_offline(Path({str(chain)!r}), {HOST!r}, {roots!r}, None).accepted;"
        "print({'asyncio', 'mitmproxy', 'pydantic', 'yaml'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"
