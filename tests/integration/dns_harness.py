"""The DNS plane on loopback with an upstream that does what it is told."""

import asyncio
import contextlib
import struct
import subprocess
import time

import dns.asyncquery
import dns.flags
import dns.message
import dns.rrset

from enforcer.dns.packets.cookies import Cookies
from enforcer.dns.responder import Responder, build_shared
from enforcer.dns.serving.server import DnsServer, build_serving
from enforcer.dns.serving.sockets import bind_both
from enforcer.dns.upstream.forwarder import Forwarder
from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder
from enforcer.settings.dns import DnsSettings
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.upstream import Upstream

BLOCKED = "connect.ngrok-agent.com"
POLICY = """
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls: [{host: connect.example.com, issuer: ngrok}]
"""


class WilfulResolver:
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
        udp, tcp = bind_both(Endpoint("127.0.0.1", 0))
        await loop.create_datagram_endpoint(lambda: protocol, sock=udp)
        self.endpoint = Upstream(*udp.getsockname())
        server = await asyncio.start_server(self._stream, sock=tcp)
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
        name = query.question[0].name.to_text().lower()
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
                other_name = right[:13] + bytes((right[13] ^ 1,)) + right[14:]
                return [b"", b"\0", other_id, other_name, right[:2] + b"\0\0" + right[4:], right]
            case "garbage", _:
                return [right[:2] + b"\x81\x80\0\1\0\x09" + right[8:]]
        return [right]


class Gateway:
    """The plane with one upstream of ours, behind those given."""

    def __init__(
        self,
        policy,
        upstreams=(),
        host="127.0.0.1",
        timeout_s=0.3,
        resolver=None,
        **serving,
    ):
        self.metrics = Metrics()
        self._serving = build_serving(DnsSettings())._replace(**serving)
        self.upstream = resolver or WilfulResolver()
        self._policy = policy
        self._upstreams = upstreams
        self._host = host
        self._timeout_s = timeout_s

    async def __aenter__(self):
        await self.upstream.__aenter__()
        self._forwarder = Forwarder(
            (*self._upstreams, self.upstream.endpoint),
            timeout_s=self._timeout_s,
            metrics=self.metrics,
        )
        shared = build_shared()._replace(cookies=Cookies(bytes(16)))
        responder = Responder(PolicyHolder(self._policy), lambda _: None, self.metrics, shared)
        self.server = DnsServer(responder, self._forwarder, self.metrics, time.time, self._serving)
        self.endpoint = await self.server.listen(Endpoint(self._host, 0))
        return self

    async def __aexit__(self, *_):
        await self.server.drain(1)
        self._forwarder.close()
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
