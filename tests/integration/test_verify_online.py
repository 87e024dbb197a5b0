"""`verify` on line: names and addresses in every form, and servers that are not there."""

import socket
import ssl

import pki
import pytest
from integration.tls_servers import Edge, server_context

from enforcer.verify import verify_online

HOST = "connect.example.com"
NGROK = pki.ngrok_like()


@pytest.fixture
def roots(tmp_path):
    path = tmp_path / "roots.pem"
    path.write_bytes(NGROK.root_pem)
    return str(path)


@pytest.fixture
def policy(policy_from):
    """A policy whose Connect URL is at the edge's port, issued by an authority of its own."""

    def at(port):
        text = f"""
        version: 1
        default: allow
        connect_urls: [{{host: {HOST}, port: {port}, issuer: {{roots: [roots.pem]}}}}]
        """
        return policy_from(text, **{"roots.pem": NGROK.root_pem.decode()})

    return at


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificate_at_an_address_is_judged_for_the_name(roots, version):
    with Edge(server_context(NGROK.leaf(HOST), version)) as edge:
        told = verify_online(f"{HOST}:{edge.port}", "127.0.0.1", roots, None, None, 5.0)
    assert told.accepted
    assert told.target == f"{HOST}:{edge.port} at 127.0.0.1"


def test_connect_url_must_be_issued_as_the_policy_says(policy):
    with Edge(server_context(NGROK.leaf(HOST))) as edge:
        connect_url = policy(edge.port)
        told = verify_online(f"{HOST}:{edge.port}", "127.0.0.1", None, None, connect_url, 5.0)
        other = verify_online(f"other.example:{edge.port}", "127.0.0.1", None, None, connect_url, 5)
    assert (told.expected, told.code) == ("own", "accepted")
    assert (other.expected, other.code) == ("ngrok or letsencrypt", "wrong_issuer")


def test_name_is_looked_up_when_no_address_is_given(roots):
    """localhost may have ::1 first, where nobody listens."""
    with Edge(server_context(NGROK.leaf("localhost"))) as edge:
        told = verify_online(f"localhost:{edge.port}", None, roots, None, None, 5.0)
    assert told.accepted
    assert told.target == f"localhost:{edge.port} at 127.0.0.1"


def test_address_may_be_the_host(roots):
    with Edge(server_context(NGROK.leaf("127.0.0.1"))) as edge:
        told = verify_online(f"127.0.0.1:{edge.port}", None, roots, None, None, 5.0)
    assert told.accepted


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("[::1]:1", "[::1]:1"),
        ("[0:0::1]:1", "[::1]:1"),
        ("[::1]", "[::1]:443"),
        ("::1", "[::1]:443"),
        ("127.0.0.1", "127.0.0.1:443"),
        ("LOCALHOST.:1", "localhost:1"),
    ],
)
def test_target_may_have_any_form(target, shown):
    """Whoever answers there, it is not what is expected."""
    told = verify_online(target, None, "ngrok", None, None, 5.0)
    assert not told.accepted
    assert told.target.startswith(shown)


def test_server_that_is_not_there_is_unavailable():
    told = verify_online("connect.example.com:1", "127.0.0.1", "ngrok", None, None, 5.0)
    assert (told.verdict, told.code) == ("refused", "unavailable")
    assert told.reason.endswith("could not be seen: it cannot be reached: Connection refused")
    assert told.target == "connect.example.com:1 at 127.0.0.1"
    assert told.as_text().startswith("unavailable: connect.example.com:1 at 127.0.0.1\n")
    assert told.as_dict()["path"] == []


def test_address_to_connect_to_may_stand_in_brackets():
    told = verify_online("connect.example.com:1", "[::1]", "ngrok", None, None, 5.0)
    assert told.target == "connect.example.com:1 at ::1"


def test_name_without_an_address_is_unavailable(monkeypatch):
    """The system's resolver is replaced, so that nothing is asked beyond loopback."""

    def nothing_found(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing_found)
    told = verify_online("nothing.invalid", None, "ngrok", None, None, 5.0)
    assert told.code == "unavailable"
    assert "nothing.invalid has no address: Name or service not known" in told.reason


def test_server_that_says_nothing_is_unavailable_when_the_time_is_up():
    with Edge(server_context(NGROK.leaf(HOST))) as edge:
        edge.may_go_on.clear()
        told = verify_online(f"{HOST}:{edge.port}", "127.0.0.1", "ngrok", None, None, 0.2)
    assert "no answer within 0.2 s" in told.reason
