"""The DNS plane on loopback, on both event loops: dig asks, a wilful upstream answers."""

import asyncio
import contextlib
import socket
import struct
import subprocess
import time

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import uvloop

from enforcer.dns import server as dns_server
from enforcer.dns.forwarder import Forwarder
from enforcer.dns.responder import Responder
from enforcer.dns.server import DnsServer
from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder
from enforcer.settings.endpoint import Endpoint

LOOPBACK = ["127.0.0.1", "::1"]
BLOCKED = "connect.ngrok-agent.com"
POLICY = """
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls: [{host: connect.example.com, issuer: ngrok}]
"""


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """Runs a scenario, with asyncio's own checks for callbacks that block."""

    def bounded(scenario):
        async def main():
            async with asyncio.timeout(20):
                await scenario

        request.param(main())

    return bounded


class Upstream:
    """A resolver on UDP and TCP that does what the first label of the name says."""

    def __init__(self):
        self.queries = []
        self.endpoint = None
        self._closing = contextlib.AsyncExitStack()

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        protocol = type("Protocol", (asyncio.DatagramProtocol,), {})()
        protocol.connection_made = lambda transport: setattr(self, "_udp", transport)
        protocol.datagram_received = self._datagram
        await loop.create_datagram_endpoint(lambda: protocol, ("127.0.0.1", 0))
        port = self._udp.get_extra_info("sockname")[1]
        self.endpoint = Endpoint("127.0.0.1", port)
        server = await asyncio.start_server(self._stream, "127.0.0.1", port)
        self._closing.callback(self._udp.close)
        self._closing.callback(server.close)
        return self

    async def __aexit__(self, *_):
        await self._closing.aclose()

    def _datagram(self, data, address):
        for answer in self._answers(data, "udp"):
            self._udp.sendto(answer, address)

    async def _stream(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            length = struct.unpack("!H", await reader.readexactly(2))[0]
            for answer in self._answers(await reader.readexactly(length), "tcp"):
                writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()
        writer.close()

    def _answers(self, data, transport):
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text()
        self.queries.append((transport, name, query))
        response = dns.message.make_response(query, recursion_available=True)
        count = 400 if name.startswith("big") else 1
        for number in range(count):
            text = f"{name} 60 IN A 192.0.{number // 200}.{number % 200}"
            response.answer.append(dns.rrset.from_text(*text.split(maxsplit=4)))
        right = response.to_wire(max_size=65535)
        match name.partition(".")[0], transport:
            case "big", "udp":
                response.answer.clear()
                response.flags |= dns.flags.TC
                return [response.to_wire()]
            case "silent", _:
                return []
            case "spoofed", _:
                other_id = bytes((right[0] ^ 1,)) + right[1:]
                other_name = right.replace(b"\x07spoofed", b"\x07spoofer")
                return [b"", b"\0", other_id, other_name, right[:2] + b"\0\0" + right[4:], right]
            case "garbage", _:
                return [right[:2] + b"\x81\x80\0\1\0\x09" + right[8:]]
        return [right]


class Gateway:
    """The plane with one upstream of ours, behind those given."""

    def __init__(self, policy, upstreams=(), host="127.0.0.1", timeout_s=0.3):
        self.metrics = Metrics()
        self.upstream = Upstream()
        self._policy = policy
        self._upstreams = upstreams
        self._host = host
        self._timeout_s = timeout_s

    async def __aenter__(self):
        await self.upstream.__aenter__()
        forwarder = Forwarder(
            (*self._upstreams, self.upstream.endpoint),
            timeout_s=self._timeout_s,
            metrics=self.metrics,
        )
        responder = Responder(PolicyHolder(self._policy), lambda _: None, self.metrics)
        self.server = DnsServer(responder, forwarder, self.metrics, time.time)
        self.endpoint = await self.server.listen(Endpoint(self._host, 0))
        return self

    async def __aexit__(self, *_):
        await self.server.drain(1)
        await self.upstream.__aexit__()


async def becomes_true(look):
    while not look():  # noqa: ASYNC110 what is looked at has no event
        await asyncio.sleep(0.01)


async def dig(gateway, *arguments):
    """What dig prints. In a thread: uvloop was seen to hang with a child on 3.13."""
    server = [f"@{gateway.endpoint.host}", "-p", str(gateway.endpoint.port)]
    argv = ["dig", *server, "+tries=1", "+time=5", *arguments]
    done = await asyncio.to_thread(
        subprocess.run, argv, capture_output=True, text=True, timeout=15, check=False
    )
    return done.stdout


async def tcp_query(gateway, name, **options):
    query = dns.message.make_query(name, "A", **options)
    return await dns.asyncquery.tcp(
        query, gateway.endpoint.host, port=gateway.endpoint.port, timeout=5
    )


def framed(name):
    wire = dns.message.make_query(name, "A").to_wire()
    return struct.pack("!H", len(wire)) + wire


async def read_message(reader):
    length = struct.unpack("!H", await reader.readexactly(2))[0]
    return dns.message.from_wire(await reader.readexactly(length))


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_dig_sees_why_a_default_name_does_not_resolve(run, policy_from, host, transport):
    async def scenario():
        async with Gateway(policy_from(POLICY), host=host) as gateway:
            output = await dig(gateway, transport, BLOCKED)
            assert "status: NXDOMAIN" in output
            assert "EDE: 15 (Blocked)" in output
            assert "use connect.example.com:443" in output
            assert "SOA\tenforcer.invalid." in output

    run(scenario())


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_other_names_resolve(run, policy_from, host, transport):
    async def scenario():
        async with Gateway(policy_from(POLICY), host=host) as gateway:
            assert "192.0.0.0" in await dig(gateway, transport, "WWW.example.org")

    run(scenario())


def test_large_answers_come_over_tcp_on_both_sides(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            output = await dig(gateway, "big.example.org", "+short")
            assert output.count("192.0.") == 400
            assert {transport for transport, *_ in gateway.upstream.queries} == {"udp", "tcp"}
            output = await dig(gateway, "big.example.org", "+ignore")
            assert "flags: qr tc rd ra" in output

    run(scenario())


def test_only_the_reply_that_matches_is_believed(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            assert "192.0.0.0" in await dig(gateway, "spoofed.example.org")

    run(scenario())


def test_silent_upstream_gives_way_to_the_next(run, policy_from):
    async def scenario():
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        silent.bind(("127.0.0.1", 0))
        with silent:
            upstreams = [Endpoint(*silent.getsockname())]
            async with Gateway(policy_from(POLICY), upstreams) as gateway:
                assert "192.0.0.0" in await dig(gateway, "www.example.org")
                assert gateway.metrics.dns_upstream_queries.cell("timeout").value == 1

    run(scenario())


@pytest.mark.parametrize("name", ["silent.example.org", "garbage.example.org"])
def test_upstream_that_gives_no_answer_is_a_failure_that_says_so(run, policy_from, name):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            output = await dig(gateway, name)
            assert "status: SERVFAIL" in output
            assert "EDE: " in output

    run(scenario())


def test_upstream_that_is_not_there_gives_way_at_once(run, policy_from):
    async def scenario():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = Endpoint(*closed.getsockname())
        async with Gateway(policy_from(POLICY), [nobody], timeout_s=10) as gateway:
            assert "192.0.0.0" in await dig(gateway, "www.example.org")
            assert gateway.metrics.dns_upstream_queries.cell("unreachable").value == 1

    run(scenario())


def test_queries_on_one_connection_are_answered_as_they_are_ready(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            reader, writer = await asyncio.open_connection(*gateway.endpoint)
            names = ["silent.test", BLOCKED, "www.test"]
            data = b"".join(map(framed, names))
            for at in range(0, len(data), 7):  # split anywhere
                writer.write(data[at : at + 7])
                await asyncio.sleep(0)
            writer.write_eof()
            answers = [await read_message(reader) for _ in names]
            order = [answer.question[0].name.to_text().strip(".") for answer in answers]
            assert set(order[:2]) == {BLOCKED, "www.test"}
            assert order[2] == "silent.test"
            assert await reader.read() == b""
            writer.close()

    run(scenario())


def test_more_pipelined_queries_than_the_limit_are_all_answered(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY), timeout_s=5) as gateway:
            reader, writer = await asyncio.open_connection(*gateway.endpoint)
            count = 4 * dns_server.MAX_PIPELINED
            writer.write(b"".join(framed(f"n{number}.test") for number in range(count)))
            writer.write_eof()
            names = {(await read_message(reader)).question[0].name for _ in range(count)}
            assert len(names) == count
            assert await reader.read() == b""
            writer.close()

    run(scenario())


@pytest.mark.parametrize("data", [b"\0\0\0", b"\0\5hello", b"GET / HTTP/1.1\r\n\r\n"])
def test_connection_that_speaks_no_dns_is_closed(run, policy_from, monkeypatch, data):
    monkeypatch.setattr(dns_server, "TCP_IDLE_S", 0.2)

    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            reader, writer = await asyncio.open_connection(*gateway.endpoint)
            writer.write(data)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            assert "NXDOMAIN" in await dig(gateway, BLOCKED)

    run(scenario())


def test_client_that_drips_bytes_is_idle(run, policy_from, monkeypatch):
    monkeypatch.setattr(dns_server, "TCP_IDLE_S", 0.2)

    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            reader, writer = await asyncio.open_connection(*gateway.endpoint)
            ended = asyncio.ensure_future(reader.read())
            for byte in framed(BLOCKED)[:-1]:
                if not ended.done():
                    writer.write(bytes((byte,)))
                    await asyncio.sleep(0.02)
            with contextlib.suppress(ConnectionResetError):
                assert await ended == b""
            writer.close()
            assert not gateway.server.connections

    run(scenario())


def test_client_that_does_not_read_loses_its_connection(run, policy_from, monkeypatch):
    monkeypatch.setattr(dns_server, "TCP_IDLE_S", 0.2)

    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            loop = asyncio.get_running_loop()
            with socket.socket() as client:
                client.setblocking(False)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                await loop.sock_connect(client, tuple(gateway.endpoint))
                with contextlib.suppress(TimeoutError, OSError):
                    async with asyncio.timeout(1):
                        while True:
                            await loop.sock_sendall(client, framed(BLOCKED) * 100)
                await becomes_true(lambda: not gateway.server.connections)

    run(scenario())


def test_too_many_connections_are_closed_at_once(run, policy_from, monkeypatch):
    monkeypatch.setattr(dns_server, "MAX_TCP_CONNECTIONS", 2)

    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            held = [await asyncio.open_connection(*gateway.endpoint) for _ in range(2)]
            await tcp_fails(gateway)
            for _, writer in held:
                writer.close()
            await becomes_true(lambda: not gateway.server.connections)
            assert (await tcp_query(gateway, BLOCKED)).rcode() == dns.rcode.NXDOMAIN

    run(scenario())


async def tcp_fails(gateway):
    with pytest.raises((EOFError, OSError)):
        await tcp_query(gateway, BLOCKED)


def test_more_waiting_queries_than_there_is_room_for_are_told_so(run, policy_from, monkeypatch):
    monkeypatch.setattr(dns_server, "MAX_WAITING", 1)

    async def scenario():
        async with Gateway(policy_from(POLICY), timeout_s=1) as gateway:
            waiting = asyncio.ensure_future(dig(gateway, "silent.test"))
            await becomes_true(lambda: gateway.upstream.queries)
            assert "too many queries" in await dig(gateway, "www.test")
            assert "NXDOMAIN" in await dig(gateway, BLOCKED)
            await waiting

    run(scenario())


def test_drain_answers_what_waits(run, policy_from):
    async def scenario():
        async with Gateway(policy_from(POLICY)) as gateway:
            waiting = asyncio.ensure_future(dig(gateway, "silent.test"))
            await becomes_true(lambda: gateway.upstream.queries)
            await gateway.server.drain(5)
            assert "SERVFAIL" in await waiting

    run(scenario())


def test_port_that_is_taken_leaves_nothing_open(run, policy_from):
    async def scenario():
        taken = socket.create_server(("127.0.0.1", 0))
        with taken:
            metrics = Metrics()
            responder = Responder(PolicyHolder(policy_from(POLICY)), lambda _: None, metrics)
            server = DnsServer(
                responder, Forwarder((), timeout_s=1, metrics=metrics), metrics, time.time
            )
            endpoint = Endpoint(*taken.getsockname())
            with pytest.raises(OSError, match="in use"):
                await server.listen(endpoint)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.bind(tuple(endpoint))

    run(scenario())
