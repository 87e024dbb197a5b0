"""The probe against real TLS servers, and against peers that are nothing of the kind."""

import asyncio
import shutil
import ssl
import subprocess

import pki
import pytest
import uvloop
from integration.tls_servers import (
    LOOPBACK,
    Edge,
    handshake_record,
    listening,
    read_all,
    server_context,
    server_hello_and,
)

from enforcer.proxy.probe import MAX_HANDSHAKE_BYTES, BadCertificateError, ProbeError, fetch_chain
from enforcer.tls.clienthello import parse_client_hello

HOST = "connect.example.com"
NGROK = pki.ngrok_like()
HELLO_REQUEST, SERVER_KEY_EXCHANGE = 0, 12  # RFC 5246 7.4
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    def bounded(scenario):
        async def main():
            async with asyncio.timeout(10):
                return await scenario()

        return request.param(main())

    return bounded


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
@pytest.mark.parametrize("key", ["ec", "rsa", "rsa1024", "ed25519"])
def test_chain_is_seen_as_it_is_presented(run, key, version):
    leaf = NGROK.leaf(HOST, key=key, with_root=True)

    with Edge(server_context(leaf, version)) as edge:
        assert run(lambda: fetch_chain(LOOPBACK, edge.port, HOST)) == leaf.chain_der


def test_server_with_ciphers_of_old_is_seen(run):
    leaf = NGROK.leaf(HOST, key="rsa")
    tls = server_context(leaf, TLS_1_2, "AES128-SHA")

    with Edge(tls) as edge:
        assert run(lambda: fetch_chain(LOOPBACK, edge.port, HOST)) == leaf.chain_der


def test_server_that_is_well_sees_the_handshake_end(run):
    """Nothing for it to log, every few minutes."""
    with Edge(server_context(NGROK.leaf(HOST), TLS_1_3)) as edge:
        run(lambda: fetch_chain(LOOPBACK, edge.port, HOST))
    assert edge.versions == ["TLSv1.3"]


@pytest.mark.parametrize(
    ("host", "sni"), [(HOST, HOST), ("192.0.2.1", None), ("2001:db8::1", None)]
)
def test_hello_is_like_an_agents(run, host, sni):
    heard = []

    async def behave(reader, writer):
        heard.append(parse_client_hello(await reader.read(65536)))

    async def scenario():
        async with listening(behave) as port:
            with pytest.raises(ProbeError):
                await fetch_chain(LOOPBACK, port, host)

    run(scenario)
    assert [(hello.sni, hello.alpn, hello.versions) for hello in heard] == [
        (sni, (), (0x0304, 0x0303))
    ]


@pytest.mark.parametrize(
    "certificates",
    [[b"garbage"], [b"\x30\x03\x02\x01\x01"], [NGROK.root_der[:-1]]],
    ids=["garbage", "a number", "cut off"],
)
def test_what_is_no_certificate_is_told_from_none_seen(run, certificates):
    async def behave(reader, writer):
        await reader.read(65536)
        writer.write(server_hello_and(*certificates))
        await read_all(reader, writer)

    async def scenario():
        async with listening(behave) as port:
            with pytest.raises(BadCertificateError, match="handshake failed: ASN1 lib"):
                await fetch_chain(LOOPBACK, port, HOST)

    run(scenario)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "closed during the handshake"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "handshake failed: "),
        (b"\x15\x03\x03\x00\x02\x02\x70", "unrecognized name"),
        (server_hello_and(), "handshake failed: "),
        (handshake_record(2, b"\x03\x03"), "handshake failed: "),
    ],
    ids=["nothing", "HTTP", "an alert", "no certificate", "half a hello"],
)
def test_peer_that_does_not_shake_hands_is_told_in_words(run, answer, says):
    async def behave(reader, writer):
        await reader.read(65536)
        writer.write(answer)

    async def scenario():
        async with listening(behave) as port:
            with pytest.raises(ProbeError, match=says) as raised:
                await fetch_chain(LOOPBACK, port, HOST)
            assert not isinstance(raised.value, BadCertificateError)

    run(scenario)


def test_peer_that_resets_is_told_in_words(run):
    async def behave(reader, writer):
        await reader.read(1)  # the rest, unread, turns the close into a reset
        writer.transport.abort()

    async def scenario():
        async with listening(behave) as port:
            with pytest.raises(ProbeError, match="connection"):
                await fetch_chain(LOOPBACK, port, HOST)

    run(scenario)


def test_port_where_nobody_listens_is_told_in_words(run):
    async def scenario():
        async with listening(read_all) as port:
            pass
        with pytest.raises(ProbeError, match=r"cannot be reached: .*refused"):
            await fetch_chain(LOOPBACK, port, HOST)

    run(scenario)


def test_peer_that_drips_is_left_when_the_time_is_up(run):
    async def scenario():
        gone = asyncio.Event()

        async def behave(reader, writer):
            await reader.read(65536)
            for byte in server_hello_and(NGROK.root_der):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.01)
                if writer.is_closing():
                    gone.set()
                    return

        async with listening(behave) as port:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await fetch_chain(LOOPBACK, port, HOST)
            await gone.wait()

    run(scenario)


def test_peer_that_never_ends_is_left_at_a_bound(run):
    """OpenSSL reads over a HelloRequest, and over any number of them (RFC 5246 7.4.1.1)."""

    async def behave(reader, writer):
        await reader.read(65536)
        while not writer.is_closing():
            writer.write(handshake_record(HELLO_REQUEST, b"") * 1000)
            await writer.drain()

    async def scenario():
        async with listening(behave) as port:
            with pytest.raises(ProbeError, match=f"more than {MAX_HANDSHAKE_BYTES} bytes"):
                await fetch_chain(LOOPBACK, port, HOST)

    run(scenario)


def test_stranger_with_the_real_chain_but_not_its_key_is_found_out(run):
    """Certificates are public: the proof is the signature under the key exchange."""
    with Edge(server_context(NGROK.leaf(HOST), TLS_1_2)) as real:

        async def behave(reader, writer):
            from_real, to_real = await asyncio.open_connection("127.0.0.1", real.port)
            try:
                to_real.write(await reader.read(65536))
                while True:
                    head = await from_real.readexactly(5)
                    body = await from_real.readexactly(int.from_bytes(head[3:], "big"))
                    if body[0] == SERVER_KEY_EXCHANGE:
                        body = body[:-1] + bytes([body[-1] ^ 1])
                    writer.write(head + body)
            finally:
                to_real.transport.abort()

        async def scenario():
            async with listening(behave) as port:
                with pytest.raises(BadCertificateError, match="bad signature"):
                    await fetch_chain(LOOPBACK, port, HOST)

        run(scenario)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_server_is_seen(run, tmp_path, version):
    leaf = NGROK.leaf(HOST)
    chain, key = leaf.write(tmp_path, "server")
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", version]
    command += ["-cert", str(chain), "-cert_chain", str(chain), "-key", str(key)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        try:
            line = next(line for line in server.stdout if line.startswith(b"ACCEPT"))
            port = int(line.rpartition(b":")[2])
            seen = run(lambda: fetch_chain(LOOPBACK, port, HOST))
        finally:
            server.kill()
    assert dict.fromkeys(seen) == dict.fromkeys(leaf.chain_der)
