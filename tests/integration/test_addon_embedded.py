"""Plain HTTP through the gate and the mitmproxy behind it, on both event loops."""

import asyncio
import contextlib
import socket
import time

import pytest
import uvloop
from integration.gate_harness import Answer, StubVerifier, running_gate, until

from enforcer.metrics import Metrics
from enforcer.policy.addresses import parse_address
from enforcer.policy.holder import PolicyHolder
from enforcer.proxy.addon import AddonServices, PolicyAddon
from enforcer.proxy.embedded import EmbeddedProxy

BLOCKED = "connect.ngrok-agent.com"
URL = "connect.example.com"
CRL = "crl.ngrok-agent.com"
POLICY = f"""
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls: [{{host: {URL}, issuer: ngrok}}]
rules:
  - {{id: no-nine, action: block, match: {{addresses: [127.0.0.9/32]}}}}
"""


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    def bounded(scenario):
        async def main():
            async with asyncio.timeout(30):
                await scenario

        request.param(main())

    return bounded


class Web:
    """An HTTP server that says which Host it was asked for, and how much came with it."""

    def __init__(self):
        self.connections = 0
        self.heads = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                length = int(fields.get("content-length", fields.get("Content-Length", 0)))
                await reader.readexactly(length)
                body = f"{fields.get('Host', '')} {length}".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()


class Proxy:
    """The door, and what the add-on recorded."""

    def __init__(self, door, events, metrics):
        self.door, self.events, self.metrics = door, events, metrics

    async def ask(self, *requests):
        """Requests on one connection, one after the other; head and body of each answer."""
        reader, writer = await self.door.dial()
        answers = []
        for request in requests:
            writer.write(request)
            answers.append(await read_answer(reader))
        return answers


async def read_answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(
        int(line.split(":")[1])
        for line in head.lower().split("\r\n")
        if line.startswith("content-length:")
    )
    return head, (await reader.readexactly(length)).decode()


@contextlib.asynccontextmanager
async def running_proxy(policy, names):
    events, metrics, asked, listening = [], Metrics(), [], {}

    async def resolve(name, client):
        asked.append(name)
        return Answer(tuple(map(parse_address, names.get(name, ()))))

    services = AddonServices(
        PolicyHolder(policy),
        events.append,
        metrics,
        StubVerifier(),
        resolve,
        listening,
        intercept=False,
        clock=time.time,
    )
    mitmproxy = EmbeddedProxy(PolicyAddon(services), connect_timeout_s=0.3, stalled_after_s=0.3)
    await mitmproxy.start()
    try:
        async with running_gate(policy, hand_over=mitmproxy.hand_over, listening=listening) as door:
            yield Proxy(door, events, metrics)
    finally:
        await mitmproxy.stop()


def get(url, host=None, fields=""):
    host = host or url.split("/")[2]
    return f"GET {url} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode()


def test_hosts_on_one_connection_are_judged_each(run, policy_from):
    async def scenario():
        names = {CRL: ["127.0.0.1"], "other.example.net": ["127.0.0.1"]}
        async with Web() as web, running_proxy(policy_from(POLICY), names) as proxy:
            crl, other, again, blocked = await proxy.ask(
                get(f"http://{CRL}:{web.port}/ngrok.crl"),
                get(f"http://other.example.net:{web.port}/"),
                get(f"http://{CRL}:{web.port}/ngrok.crl"),
                get(f"http://{BLOCKED}/"),
            )
            assert crl[1] == again[1] == f"{CRL}:{web.port} 0"
            assert other[1] == f"other.example.net:{web.port} 0"
            assert blocked[0].startswith("HTTP/1.1 403 ")
            assert "error=http_request_denied" in blocked[0]
            assert URL in blocked[1]
            assert [(event.name, event.plane) for event in proxy.events] == [(BLOCKED, "http")]
            assert web.heads[0].startswith("GET /ngrok.crl HTTP/1.1\r\n")
            # Kept open from request to request.
            assert web.connections == 1

    run(scenario())


@pytest.mark.parametrize(
    ("request_bytes", "status", "error"),
    [
        (get("http://ok.example.net/", host=BLOCKED), 403, "http_request_denied"),
        (get(f"http://{URL}:443/"), 403, "http_request_denied"),
        (get("http://nine.example.net/"), 403, "http_request_denied"),
        (get("http://127.0.0.9/"), 403, "http_request_denied"),
        (get("https://ok.example.net/"), 400, "http_request_error"),
        (get("http://none.example.net/"), 502, "dns_error"),
        (get("http://ok.example.net/", host="a b"), 400, "http_request_error"),
        (get(f"http://{BLOCKED}./"), 403, "http_request_denied"),
    ],
)
def test_a_request_is_refused_for_its_reason(run, policy_from, request_bytes, status, error):
    async def scenario():
        names = {"ok.example.net": ["127.0.0.1"], "nine.example.net": ["127.0.0.9"]}
        async with running_proxy(policy_from(POLICY), names) as proxy:
            [(head, _)] = await proxy.ask(request_bytes)
            assert head.startswith(f"HTTP/1.1 {status} ")
            assert f"error={error}" in head

    run(scenario())


@contextlib.contextmanager
def silent_server():
    """The port of a listener whose queue is full: the kernel answers no further SYN."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_destination_that_does_not_accept_is_given_up(run, policy_from):
    async def scenario():
        names = {"ok.example.net": ["127.0.0.1"]}
        async with running_proxy(policy_from(POLICY), names) as proxy:
            with silent_server() as port:
                [(head, _)] = await proxy.ask(get(f"http://ok.example.net:{port}/"))
            assert head.startswith("HTTP/1.1 502 ")
            await until(lambda: proxy.door.gate.open_connections == 0)

    run(scenario())


def test_a_request_to_the_gates_own_door_is_refused(run, policy_from):
    async def scenario():
        names = {"here.example.net": ["127.0.0.1"]}
        async with running_proxy(policy_from(POLICY), names) as proxy:
            for host in ("127.0.0.1", "here.example.net", "0.0.0.0"):
                for door in (proxy.door.explicit, proxy.door.transparent):
                    [(head, _)] = await proxy.ask(get(f"http://{host}:{door.port}/"))
                    assert head.startswith("HTTP/1.1 403 ")
                    assert "error=destination_ip_prohibited" in head
            assert {(event.rule, event.action) for event in proxy.events} == {
                ("gateway-address", "block")
            }

    run(scenario())


@pytest.mark.parametrize(
    "fields", ["Content-Length: 10000000\r\n", "Transfer-Encoding: chunked\r\n"]
)
def test_a_refusal_does_not_wait_for_the_body(run, policy_from, fields):
    async def scenario():
        async with running_proxy(policy_from(POLICY), {}) as proxy:
            head = get(f"http://{BLOCKED}/", fields=fields).replace(b"GET", b"POST")
            [(head, _)] = await proxy.ask(head)
            assert head.startswith("HTTP/1.1 403 ")

    run(scenario())


def test_a_large_body_passes(run, policy_from):
    async def scenario():
        async with (
            Web() as web,
            running_proxy(policy_from(POLICY), {"ok.example.net": ["127.0.0.1"]}) as proxy,
        ):
            url = f"http://ok.example.net:{web.port}/"
            size = 3_000_000
            post = get(url, fields=f"Content-Length: {size}\r\n").replace(b"GET", b"POST")
            first, second = await proxy.ask(post + b"x" * size, get(url))
            assert first[1] == f"ok.example.net:{web.port} {size}"
            assert second[1] == f"ok.example.net:{web.port} 0"

    run(scenario())


def test_connect_after_a_plain_request_is_sent_to_the_gate(run, policy_from):
    """mitmproxy would open the tunnel, and not look at what is spoken in it."""

    async def scenario():
        async with (
            Web() as web,
            running_proxy(policy_from(POLICY), {"ok.example.net": ["127.0.0.1"]}) as proxy,
        ):
            _, (head, body) = await proxy.ask(
                get(f"http://ok.example.net:{web.port}/"),
                b"CONNECT ok.example.net:443 HTTP/1.1\r\nHost: ok.example.net:443\r\n\r\n",
            )
            assert head.startswith("HTTP/1.1 400 ")
            assert "on a connection of its own" in body

    run(scenario())


def test_a_head_without_end_is_cut_off(run, policy_from):
    async def scenario():
        async with (
            Web() as web,
            running_proxy(policy_from(POLICY), {"ok.example.net": ["127.0.0.1"]}) as proxy,
        ):
            for begin in (b"", get(f"http://ok.example.net:{web.port}/")):
                reader, writer = await proxy.door.dial()
                if begin:
                    writer.write(begin)
                    await read_answer(reader)
                writer.write(b"GET http://ok.example.net/ HTTP/1.1\r\n")
                with contextlib.suppress(ConnectionError):
                    for _ in range(200):
                        writer.write(b"X-Filler: " + b"x" * 4096 + b"\r\n")
                        await writer.drain()
                    await reader.read()
                await until(lambda: proxy.door.gate.open_connections == 0)

    run(scenario())


def test_open_requests_end_with_the_gate(run, policy_from):
    async def scenario():
        async with (
            Web() as web,
            running_proxy(policy_from(POLICY), {"ok.example.net": ["127.0.0.1"]}) as proxy,
        ):
            reader, writer = await proxy.door.dial()
            writer.write(get(f"http://ok.example.net:{web.port}/"))
            await read_answer(reader)
            await proxy.door.gate.drain(0.05)
            assert await reader.read() == b""

    run(scenario())
