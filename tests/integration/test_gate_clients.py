"""Foreign clients through the gate: curl and openssl, real certificates, the real check."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import time

import pki
import pytest
import uvloop
from integration.gate_harness import running_gate, until

from enforcer.metrics import Metrics
from enforcer.proxy.verifier import Verifier

URL, BLOCKED = "connect.example.com", "connect.ngrok-agent.com"
REFUSED_IN_TUNNEL = 35  # curl's SSL_CONNECT_ERROR
REFUSED_AT_CONNECT = 56  # curl's RECV_ERROR, for any answer to CONNECT but 200
REFUSED_BY_SOCKS = 97  # curl's PROXY

pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl"
)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    def bounded(scenario):
        async def main():
            async with asyncio.timeout(60):
                await scenario

        request.param(main())

    return bounded


@contextlib.asynccontextmanager
async def tls_server(leaf, folder):
    """Greets over TLS; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*leaf.write(folder, "leaf"))

    async def greet(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def gateway(policy_from, tmp_path):
    """A gate whose Connect URL is served with a leaf, and verified in earnest."""

    @contextlib.asynccontextmanager
    async def start(leaf):
        root = pki.ngrok_like().root_pem.decode()
        (tmp_path / "ca.pem").write_text(root)
        async with tls_server(leaf, tmp_path) as port:
            policy = policy_from(
                f"""
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls: [{{host: {URL}, port: {port}, issuer: {{roots: [roots.pem]}}}}]
""",
                **{"roots.pem": root},
            )
            verifier = Verifier(Metrics(), time.time, timeout_s=5, verified_for_s=60)
            names = {URL: ["127.0.0.1"], "innocent.example.net": ["127.0.0.1"]}
            async with running_gate(policy, names, verifier) as door:
                yield door, port

    return start


async def run_client(*command):
    """Exit code and output. In a thread: uvloop was seen to hang with a child on 3.13."""
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=20,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def curl(folder, url, *options):
    always = ("--silent", "--show-error", "--verbose", "--max-time", "10", "--http1.1")
    return run_client("curl", *always, "--cacert", str(folder / "ca.pem"), *options, url)


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_curl_reaches_the_connect_url_untouched(run, gateway, tmp_path, scheme):
    async def scenario():
        async with gateway(pki.ngrok_like().leaf(URL)) as (door, port):
            code, out = await curl(
                tmp_path,
                f"https://{URL}:{port}/",
                *("--proxy", f"{scheme}://{door.explicit}"),
                # socks5 without h: curl looks the name up and names an address.
                *("--resolve", f"{URL}:{port}:127.0.0.1"),
            )
            assert code == 0, out
            assert out.endswith("hello") or "\nhello" in out
            await until(lambda: door.gate.open_connections == 0)
            assert (URL, "allow") in {(event.name, event.action) for event in door.events}

    run(scenario())


def test_curl_is_told_that_an_impostor_is_refused(run, gateway, tmp_path):
    async def scenario():
        async with gateway(pki.ngrok_like(keys="impostor").leaf(URL)) as (door, port):
            target = f"https://{URL}:{port}/"
            code, out = await curl(tmp_path, target, "--proxy", f"http://{door.explicit}")
            assert code == REFUSED_AT_CONNECT
            assert "HTTP/1.1 403 Forbidden" in out
            assert "error=tls_certificate_error" in out
            code, out = await curl(tmp_path, target, "--proxy", f"socks5h://{door.explicit}")
            assert code == REFUSED_BY_SOCKS, out
            assert {(event.name, event.action) for event in door.events} == {(URL, "block")}

    run(scenario())


def test_curl_is_refused_for_the_name_in_its_hello(run, gateway, tmp_path):
    async def scenario():
        async with gateway(pki.ngrok_like().leaf(URL)) as (door, port):
            code, out = await curl(
                tmp_path,
                f"https://{BLOCKED}:{port}/",
                *("--proxy", f"http://{door.explicit}"),
                *("--connect-to", f"{BLOCKED}:{port}:innocent.example.net:{port}"),
            )
            assert code == REFUSED_IN_TUNNEL
            assert "unrecognized name" in out

    run(scenario())


def test_openssl_understands_the_alert(run, gateway):
    async def scenario():
        async with gateway(pki.ngrok_like().leaf(URL)) as (door, port):
            for name, proxied, alert in (
                (BLOCKED, True, "unrecognized name"),
                (BLOCKED, False, "unrecognized name"),
                (URL, False, "access denied"),
            ):
                where = (
                    ("-proxy", str(door.explicit), "-connect", f"innocent.example.net:{port}")
                    if proxied
                    else ("-connect", str(door.transparent))
                )
                code, out = await run_client("openssl", "s_client", "-servername", name, *where)
                assert code != 0
                assert alert in out

    run(scenario())
