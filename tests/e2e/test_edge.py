"""The lab's own edge, on loopback: what the scenarios lean on. Needs no root."""

import socket
import ssl
import urllib.error
import urllib.request

import pki
import pytest
from e2e.agent import AUTHTOKEN, GREETING
from e2e.agents import Agent
from e2e.ingress import ANY_NAME, Ingress
from e2e.process import Process, until

NAME = "localhost"


@pytest.fixture
def ports():
    """Two that are free: for agents, and for the public side."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    numbers = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return numbers


@pytest.fixture
def spawn(tmp_path):
    processes = []

    def start(argv, stem):
        processes.append(Process(argv, tmp_path / f"{len(processes)}-{stem}"))
        return processes[-1]

    yield start
    for process in processes:
        process.stop()


@pytest.fixture
def edge(tmp_path, spawn, ports):
    agents, public = (f"127.0.0.1:{port}" for port in ports)
    certificates = {ANY_NAME: pki.ngrok_like().leaf("default.test"), NAME: leaf(pki.ngrok_like())}
    return Ingress(tmp_path / "edge", spawn, [agents], certificates, [public])


def leaf(authority):
    return authority.leaf(NAME)


def ask_endpoint(url, port):
    host = url.removeprefix("http://")
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": host})
    with urllib.request.urlopen(request, timeout=5) as response:
        return response.read()


def presented_certificate(port, sni):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
        context.wrap_socket(connection, server_hostname=sni) as tls,
    ):
        return tls.getpeercert(binary_form=True)


def test_real_agent_gets_a_session_and_its_endpoint_answers(edge, spawn, ports, tmp_path):
    agent_port, public_port = ports
    with Agent(spawn, tmp_path, f"{NAME}:{agent_port}", pki.ngrok_like().root_pem) as agent:
        assert agent.result.connected, agent.result.error
        session = edge.wait_for_bind(agent.result.url)
        assert session.sni == NAME
        assert session.client.startswith("127.0.0.1:")
        assert session.authenticated
        assert session.user_agent.startswith("ngrok-python/")
        for _ in range(3):
            assert ask_endpoint(agent.result.url, public_port) == GREETING
    until(lambda: edge.sessions()[0].ended, "the session to end")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask_endpoint(agent.result.url, public_port)


def test_authtoken_is_never_written_down(edge, spawn, ports, tmp_path):
    with Agent(spawn, tmp_path, f"{NAME}:{ports[0]}", pki.ngrok_like().root_pem) as agent:
        edge.wait_for_bind(agent.result.url)
    written = edge.log_text() + edge.process.complaint
    assert AUTHTOKEN not in written


def test_certificate_is_chosen_by_name_and_swapped_while_running(edge, ports):
    first = presented_certificate(ports[0], NAME)
    assert presented_certificate(ports[0], "other.test") != first
    assert presented_certificate(ports[0], None) == presented_certificate(ports[0], "other.test")
    swapped = leaf(pki.letsencrypt_like())
    edge.present({ANY_NAME: swapped, NAME: swapped})
    assert presented_certificate(ports[0], NAME) == swapped.chain_der[0]
    assert edge.hellos(NAME) == 2


def test_connection_that_sends_nothing_is_no_session(edge, ports):
    presented_certificate(ports[0], NAME)
    until(lambda: edge.events("end"), "the connection to end")
    assert edge.sessions() == []


def test_real_agent_that_pins_another_root_opens_no_session(edge, spawn, ports, tmp_path):
    root_pem = pki.letsencrypt_like().root_pem
    with Agent(spawn, tmp_path, f"{NAME}:{ports[0]}", root_pem) as agent:
        assert agent.result.error == "failed to connect session: tls handshake error"
    assert edge.sessions() == []
