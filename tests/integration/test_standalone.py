"""The add-on in stock mitmproxy: a real mitmdump, real certificates, an audit store."""

import contextlib
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pki
import pytest

import enforcer.proxy

SCRIPT = Path(enforcer.proxy.__file__).with_name("standalone.py")
MITMDUMP = Path(sys.executable).with_name("mitmdump")
BLOCKED = "connect.ngrok-agent.com"
START_S = 30


@dataclass
class TlsServer:
    """Presents a leaf, and greets. Keeps the names it was asked for."""

    leaf: pki.Leaf
    folder: Path
    names: list = field(default_factory=list)

    def __enter__(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.leaf.write(self.folder, f"leaf-{id(self)}"))
        context.sni_callback = lambda _, name, __: self.names.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, args=(context,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self, context):
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            # mitmproxy keeps a connection open while ours looks at the certificate.
            threading.Thread(target=self._greet, args=(context, accepted), daemon=True).start()

    @staticmethod
    def _greet(context, accepted):
        with accepted, contextlib.suppress(OSError):
            accepted.settimeout(5)
            with context.wrap_socket(accepted, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


@dataclass
class Mitmdump:
    port: int
    audit: Path
    url: TlsServer
    impostor: TlsServer
    other: TlsServer

    def tunnel(self, target):
        """A socket after CONNECT, and the response's head."""
        tunnel = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        tunnel.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += tunnel.recv(4096)
        return tunnel, head.decode()

    def handshake(self, target, name):
        """The certificate presented, and what answers."""
        tunnel, _ = self.tunnel(target)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with tunnel, context.wrap_socket(tunnel, server_hostname=name) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"hello") and (data := tls.recv(4096)):
                answer += data
            return tls.getpeercert(binary_form=True), answer

    def event(self, name, action):
        """Whether it is on record, within the store's flush interval."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.closing(sqlite3.connect(self.audit)) as store:
                rows = store.execute("SELECT name, action FROM event").fetchall()
            if (name, action) in rows:
                return True
            time.sleep(0.05)
        return False


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def command(folder, port, *options):
    sets = {"confdir": folder / "mitmproxy", "ssl_insecure": "true"}
    return [
        str(MITMDUMP),
        *("-s", str(SCRIPT), "--listen-host", "127.0.0.1", "--listen-port", str(port)),
        *(part for key, value in sets.items() for part in ("--set", f"{key}={value}")),
        *(part for option in options for part in ("--set", option)),
    ]


@pytest.fixture(scope="module")
def mitmdump(tmp_path_factory):
    folder = tmp_path_factory.mktemp("standalone")
    authority, stranger = pki.ngrok_like(), pki.ngrok_like(keys="impostor")
    (folder / "roots.pem").write_bytes(authority.root_pem)
    with (
        TlsServer(authority.leaf("localhost"), folder) as url,
        TlsServer(stranger.leaf("localhost"), folder) as impostor,
        TlsServer(stranger.leaf("localhost"), folder) as other,
        (folder / "log").open("wb") as log,
    ):
        (folder / "policy.yaml").write_text(f"""
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls:
  - {{host: localhost, port: {url.port}, issuer: {{roots: [roots.pem]}}}}
  - {{host: localhost, port: {impostor.port}, issuer: {{roots: [roots.pem]}}}}
rules:
  - {{id: no-ssh, action: block, match: {{protocols: [ssh]}}}}
""")
        port, audit = free_port(), folder / "audit.db"
        options = (f"enforcer_policy={folder / 'policy.yaml'}", f"enforcer_audit={audit}")
        process = subprocess.Popen(command(folder, port, *options), stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            alive = process.poll() is None and time.monotonic() < deadline
            assert alive, (folder / "log").read_text()
            time.sleep(0.1)
        try:
            yield Mitmdump(port, audit, url, impostor, other)
        finally:
            process.terminate()
            process.wait(10)
        assert "Traceback" not in (folder / "log").read_text()


def test_a_blocked_name_is_refused_at_connect(mitmdump):
    tunnel, head = mitmdump.tunnel(f"{BLOCKED}:443")
    tunnel.close()
    assert head.startswith("HTTP/1.1 403 ")
    assert "error=http_request_denied" in head
    assert mitmdump.event(BLOCKED, "block")


def test_a_blocked_server_name_is_refused_by_an_alert(mitmdump):
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        mitmdump.handshake(f"127.0.0.1:{mitmdump.other.port}", BLOCKED)
    assert BLOCKED not in mitmdump.other.names


def test_the_connect_url_is_passed_on_untouched(mitmdump):
    certificate, answer = mitmdump.handshake(f"localhost:{mitmdump.url.port}", "localhost")
    assert certificate == mitmdump.url.leaf.chain_der[0]
    assert answer.endswith(b"hello")
    assert mitmdump.event("localhost", "allow")


def test_an_impostor_at_the_connect_url_is_refused(mitmdump):
    with pytest.raises(ssl.SSLError, match=r"(?i)access.denied"):
        mitmdump.handshake(f"localhost:{mitmdump.impostor.port}", "localhost")
    assert mitmdump.event("localhost", "block")


def test_the_rest_is_left_to_mitmproxy(mitmdump):
    certificate, answer = mitmdump.handshake(f"localhost:{mitmdump.other.port}", "localhost")
    assert certificate != mitmdump.other.leaf.chain_der[0]
    assert answer.endswith(b"hello")


@contextlib.contextmanager
def open_tunnel(mitmdump):
    """The client's end of a tunnel, and the server's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        tunnel, _ = mitmdump.tunnel(f"127.0.0.1:{server.getsockname()[1]}")
        # One segment for each sendall.
        tunnel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with tunnel:
            yield tunnel, server


@pytest.mark.parametrize(
    "segments",
    [
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
        [b"SS", b"H-2.0-OpenSSH_9.2\r\n"],
        [b"S", b"S", b"H", b"-2.0-OpenSSH_9.2\r\n"],
        [b"\n", b"SSH-2.0-Go\r\n"],
        [b"hello\nSS", b"H-2.0-Go\r\n"],
        # A hello behind a warning, which mitmproxy takes for no TLS.
        [bytes.fromhex("15030100020164"), b"\x16\x03\x01\x02\x00\x01"],
    ],
    ids=["ssh", "ssh in two", "ssh in four", "empty line", "lines", "warning"],
)
def test_what_is_neither_tls_nor_http_is_judged_by_its_first_words(mitmdump, segments):
    with open_tunnel(mitmdump) as (tunnel, server):
        for segment in segments:
            tunnel.sendall(segment)
            time.sleep(0.05)
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(10)
            received = b""
            while data := accepted.recv(100):
                received += data
            assert b"SSH-" not in received
            assert b"\x16" not in received
        assert tunnel.recv(100)[:1] in {b"", b"\x15"}


def test_what_was_held_back_is_passed_on_in_order(mitmdump):
    words = b"SSL is not what this is"
    with open_tunnel(mitmdump) as (tunnel, server):
        for segment in (words[:1], words[1:2], words[2:8], words[8:]):
            tunnel.sendall(segment)
            time.sleep(0.05)
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(10)
            received = b""
            while len(received) < len(words):
                received += accepted.recv(100)
            assert received == words


def test_plain_http_is_judged(mitmdump):
    client = socket.create_connection(("127.0.0.1", mitmdump.port), timeout=10)
    with client:
        client.sendall(f"GET http://{BLOCKED}/ HTTP/1.1\r\nHost: {BLOCKED}\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 403 ")


def test_a_broken_policy_ends_mitmdump_with_file_and_line(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nmode: maybe\ndefault: allow\n")
    done = subprocess.run(
        command(tmp_path, free_port(), f"enforcer_policy={policy}"),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert done.returncode != 0
    assert f"{policy}:2: mode:" in done.stdout + done.stderr
