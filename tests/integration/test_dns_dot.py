"""DNS over TLS on loopback: what kdig sees, and who is let in."""

import asyncio
import contextlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import time

import dns.message
import dns.query
import dns.rcode
import pki
import pytest
from integration.dns_harness import BLOCKED, POLICY, Gateway, framed, read_message

from enforcer.dns.serving import dot
from enforcer.dns.serving.access import Access
from enforcer.dns.serving.dot import CertificateError, DotCertificate
from enforcer.dns.serving.proxy_header import SIGNATURE
from enforcer.dns.serving.tcp import StreamLimits
from enforcer.policy.addresses import parse_network
from enforcer.settings.endpoint import Endpoint

AUTHORITY = pki.letsencrypt_like()
LOOPBACK = Access([parse_network("127.0.0.1")])
IMPATIENT = StreamLimits(idle_s=0.2)
needs_kdig = pytest.mark.skipif(not shutil.which("kdig"), reason="kdig is not installed")


class DotGateway(Gateway):
    """A gateway that listens for TLS too, at ``dot``."""

    def __init__(self, policy, directory, **options):
        super().__init__(policy, **options)
        self.directory = directory
        self.show("dns.example")
        self.certificate = DotCertificate(directory / "dot.pem", directory / "dot.key")
        (directory / "root.pem").write_bytes(AUTHORITY.root_pem)

    def show(self, host):
        AUTHORITY.leaf(host).write(self.directory, "dot")

    async def __aenter__(self):
        await super().__aenter__()
        self.dot = await self.server.listen_dot(Endpoint("127.0.0.1", 0), self.certificate)
        return self

    def context(self, **changes):
        context = ssl.create_default_context(cafile=self.directory / "root.pem")
        for name, value in changes.items():
            setattr(context, name, value)
        return context

    async def connect(self, host="dns.example", **changes):
        context = self.context(**changes)
        context.set_alpn_protocols(["dot"])
        return await asyncio.open_connection(*self.dot, ssl=context, server_hostname=host)

    async def kdig(self, *arguments):
        at = [f"@{self.dot.host}", "-p", str(self.dot.port)]
        tls = ["+tls", f"+tls-ca={self.directory / 'root.pem'}", "+tls-hostname=dns.example"]
        argv = ["kdig", *at, *tls, "+time=5", "+retry=0", *arguments]
        done = await asyncio.to_thread(
            subprocess.run, argv, capture_output=True, text=True, timeout=15, check=False
        )
        return done.stdout + done.stderr

    def discarded(self, reason):
        return self.metrics.dns_discarded.cell(reason).value


@pytest.fixture
def gateway(policy_from, tmp_path):
    def make(**options):
        return DotGateway(policy_from(POLICY), tmp_path, **options)

    return make


async def asked(stream, name=BLOCKED):
    reader, writer = stream
    writer.write(framed(name))
    return await read_message(reader)


async def ends(reader):
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        assert await reader.read() == b""


@needs_kdig
def test_kdig_sees_over_tls_why_a_name_does_not_resolve(run, gateway):
    async def scenario():
        async with gateway() as door:
            output = await door.kdig(BLOCKED, "+edns")
            assert "status: NXDOMAIN" in output
            assert "TLS session" in output
            assert door.metrics.dns_queries.cell("block", "dot").value == 1
            assert "192.0.0.0" in await door.kdig("www.example.org")

    run(scenario())


def test_dig_is_answered_over_tls(run, gateway):
    async def scenario():
        async with gateway() as door:
            at = [f"@{door.dot.host}", "-p", str(door.dot.port)]
            argv = ["dig", *at, "+tls", "+tries=1", "+time=5", BLOCKED]
            done = await asyncio.to_thread(
                subprocess.run, argv, capture_output=True, text=True, timeout=15, check=False
            )
            assert "status: NXDOMAIN" in done.stdout

    run(scenario())


def test_padded_queries_get_padded_answers(run, gateway):
    async def scenario():
        async with gateway() as door:
            reader, writer = await door.connect()
            query = dns.message.make_query("www.example.org", "A", use_edns=0, pad=128).to_wire()
            writer.write(struct.pack("!H", len(query)) + query)
            length = struct.unpack("!H", await reader.readexactly(2))[0]
            assert length % 468 == 0
            writer.close()

    run(scenario())


def test_queries_on_one_connection_are_all_answered(run, gateway):
    async def scenario():
        async with gateway(timeout_s=5) as door:
            reader, writer = await door.connect()
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "dot"
            count = 3 * StreamLimits().pipelined
            writer.write(b"".join(framed(f"n{number}.example.org") for number in range(count)))
            names = {(await read_message(reader)).question[0].name for _ in range(count)}
            assert len(names) == count
            writer.close()
            await writer.wait_closed()

    run(scenario())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_of_today_is_spoken(run, gateway, version):
    async def scenario():
        async with gateway() as door:
            stream = await door.connect(minimum_version=version, maximum_version=version)
            assert (await asked(stream)).rcode() == dns.rcode.NXDOMAIN
            stream[1].close()

    run(scenario())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_older_tls_is_not_spoken(run, gateway):
    async def scenario():
        async with gateway() as door:
            context = door.context()
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1_1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(*door.dot, ssl=context, server_hostname="dns.example")
            await until(lambda: door.discarded("tls_handshake"))

    run(scenario())


async def until(look):
    while not look():  # noqa: ASYNC110 what is looked at has no event
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("data", [framed(BLOCKED), b"\x16\x03\x01\xff\xff" + bytes(40), b""])
def test_who_does_not_speak_tls_is_let_go(run, gateway, monkeypatch, data):
    monkeypatch.setattr(dot, "HANDSHAKE_S", 0.2)

    async def scenario():
        async with gateway() as door:
            reader, writer = await asyncio.open_connection(*door.dot)
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            await until(lambda: door.discarded("tls_handshake"))
            stream = await door.connect()
            assert (await asked(stream)).rcode() == dns.rcode.NXDOMAIN
            stream[1].close()

    run(scenario())


def test_clients_that_shake_hands_for_ever_are_counted_as_connections(run, gateway):
    async def scenario():
        async with gateway(limits=StreamLimits(connections=2)) as door:
            held = [await asyncio.open_connection(*door.dot) for _ in range(2)]
            reader, writer = await asyncio.open_connection(*door.dot)
            await ends(reader)
            assert door.discarded("too_many_connections") == 1
            for stream in (*held, (reader, writer)):
                stream[1].close()

    run(scenario())


def test_one_client_that_shakes_no_hands_leaves_room_for_others(run, gateway):
    async def scenario():
        limits = StreamLimits(connections=10, connections_per_client=2)
        async with gateway(limits=limits) as door:
            held = [
                (await asyncio.open_connection(*door.dot, local_addr=("127.0.0.2", 0)))[1]
                for _ in range(10)
            ]
            _, writer = await door.connect()
            assert door.discarded("too_many_connections") == 8
            for each in (*held, writer):
                each.close()

    run(scenario())


def test_an_idle_connection_is_closed(run, gateway):
    async def scenario():
        async with gateway(limits=IMPATIENT) as door:
            reader, writer = await door.connect()
            await ends(reader)
            writer.close()
            await until(lambda: not len(door.server.connections))

    run(scenario())


def test_a_renewed_certificate_is_shown_without_a_restart(run, gateway, monkeypatch):
    monkeypatch.setattr(dot, "LOOK_EVERY_S", 0.0)

    async def scenario():
        async with gateway() as door:
            before = await door.connect()
            door.show("new.example")
            after = await door.connect("new.example")
            # Who was there before is not disturbed.
            for stream in (before, after):
                assert (await asked(stream)).rcode() == dns.rcode.NXDOMAIN
                stream[1].close()

    run(scenario())


def test_a_broken_certificate_keeps_the_old_one(run, gateway, monkeypatch, caplog):
    monkeypatch.setattr(dot, "LOOK_EVERY_S", 0.0)

    async def scenario():
        async with gateway() as door:
            (door.directory / "dot.key").write_text("nonsense")
            for _ in range(2):
                stream = await door.connect()
                assert (await asked(stream)).rcode() == dns.rcode.NXDOMAIN
                stream[1].close()

    run(scenario())
    (told,) = (record for record in caplog.records if record.name == dot.__name__)
    assert "keeps its old certificate" in told.message


def test_what_is_no_certificate_is_told(tmp_path):
    chain, key = AUTHORITY.leaf("dns.example").write(tmp_path, "dot")
    _, other = AUTHORITY.leaf("other.example").write(tmp_path, "other")
    for wrong in ((key, key), (chain, other), (chain, tmp_path / "none"), (tmp_path, key)):
        with pytest.raises(CertificateError):
            DotCertificate(*wrong)


def proxied(client, *, local=False):
    packed = socket.inet_aton(client) * 2 + struct.pack("!2H", 5300, 853)
    command = 0x20 if local else 0x21
    return SIGNATURE + struct.pack("!2BH", command, 0x11, len(packed)) + packed


@pytest.mark.parametrize("where", ["before the handshake", "within tls"])
@pytest.mark.parametrize(
    ("client", "rcode"), [("10.0.0.9", dns.rcode.NXDOMAIN), ("192.0.2.9", dns.rcode.REFUSED)]
)
def test_a_proxy_says_who_asks(run, gateway, where, client, rcode):
    async def scenario():
        async with gateway(proxies=LOOPBACK) as door:
            message = await asyncio.to_thread(ask_through_proxy, door, where, client)
            assert message.rcode() == rcode

    run(scenario())


def ask_through_proxy(door, where, client):
    """As HAProxy does before the handshake, and dnsdist within TLS."""
    with socket.create_connection(door.dot, timeout=5) as plain:
        if where == "before the handshake":
            plain.sendall(proxied(client))
        with door.context().wrap_socket(plain, server_hostname="dns.example") as stream:
            if where != "before the handshake":
                stream.sendall(proxied(client))
            query = dns.message.make_query(BLOCKED, "A")
            return dns.query.tls(query, door.dot.host, sock=stream, timeout=5)


@needs_kdig
@pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not installed")
def test_behind_haproxy_the_client_is_known(run, gateway, tmp_path):
    """One desk may ask, the other may not; HAProxy speaks for both."""

    async def scenario():
        desk = Access([parse_network("127.0.0.7")])
        async with gateway(access=desk, proxies=LOOPBACK) as door:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            config = tmp_path / "haproxy.cfg"
            config.write_text(
                "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n"
                f"listen dot\n bind 127.0.0.1:{port}\n server one {door.dot} send-proxy-v2\n"
            )
            statuses = await asyncio.to_thread(ask_through_haproxy, config, port)
            assert statuses == {"127.0.0.7": "NXDOMAIN", "127.0.0.8": "REFUSED"}

    run(scenario())


def ask_through_haproxy(config, port):
    with config.with_name("log").open("wb") as log:
        haproxy = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=log, stderr=log)
    try:
        return {client: ask_until_up(port, client) for client in ("127.0.0.7", "127.0.0.8")}
    finally:
        haproxy.terminate()
        haproxy.wait(10)


def ask_until_up(port, client):
    argv = ["kdig", "+tls", "@127.0.0.1", "-p", str(port), "-b", client, "+retry=0", BLOCKED]
    for _ in range(50):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=15, check=False)
        if found := re.search(r"status: (\w+)", done.stdout):
            return found[1]
        time.sleep(0.1)
    return done.stdout


def test_a_proxy_that_sends_half_a_header_is_let_go(run, gateway, monkeypatch):
    monkeypatch.setattr(dot, "HANDSHAKE_S", 0.1)

    async def scenario():
        async with gateway(proxies=LOOPBACK) as door:
            for data in (SIGNATURE, SIGNATURE + b"\x51\x11\0\x0c" + bytes(12), b"\r" + bytes(40)):
                reader, writer = await asyncio.open_connection(*door.dot)
                writer.write(data)
                await ends(reader)
                writer.close()

    run(scenario())


def test_drain_lets_everybody_go(run, gateway):
    async def scenario():
        async with gateway() as door:
            reader, writer = await door.connect()
            waiting, half = await asyncio.open_connection(*door.dot)
            await door.server.drain(0.1)
            await ends(reader)
            await ends(waiting)
            for stream in (writer, half):
                stream.close()
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(door.dot, timeout=1)

    run(scenario())
