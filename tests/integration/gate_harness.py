"""A gate on loopback: its policy, who verifies and resolves for it, and servers behind it."""

import asyncio
import contextlib
import ssl
import struct
import time
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET

from enforcer.metrics import Metrics
from enforcer.policy.addresses import parse_address
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import CertificateCheck, CertificateFact
from enforcer.proxy.flow import FlowServices
from enforcer.proxy.gate import Gate
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.gateway import TlsSettings

ACCEPTED = CertificateFact(CertificateCheck.ACCEPTED, "issued by the right one")
REFUSED = CertificateFact(CertificateCheck.REFUSED, "issued by somebody else")
UNAVAILABLE = CertificateFact(CertificateCheck.UNAVAILABLE, "nobody answers")


@dataclass(frozen=True)
class Answer:
    addresses: tuple = ()
    verdict: object = None


class StubVerifier:
    """Knows every certificate already; ``ask`` may be replaced to wait or to differ."""

    def __init__(self, fact=ACCEPTED):
        self.fact = fact
        self.asked = []
        self.gate = None

    async def verify(self, url, address, port, host):
        self.asked.append((str(address), port, host))
        if self.gate:
            await self.gate.wait()
        return self.fact.get(str(address), ACCEPTED) if isinstance(self.fact, dict) else self.fact


@dataclass
class Door:
    """A running gate, and what it did."""

    gate: Gate
    explicit: Endpoint
    transparent: Endpoint
    metrics: Metrics
    policy: PolicyHolder
    verifier: StubVerifier
    events: list = field(default_factory=list)
    handed_over: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    _writers: list = field(default_factory=list)

    def discarded(self, reason):
        return self.metrics.tls_discarded.cell(reason).value

    async def dial(self, endpoint=None):
        reader, writer = await asyncio.open_connection(*(endpoint or self.explicit))
        self._writers.append(writer)
        return reader, writer

    def close(self):
        for writer in self._writers:
            writer.close()

    async def connect(self, target, *more):
        """A CONNECT, and what follows at once; the response head and the streams."""
        reader, writer = await self.dial()
        writer.write(b"CONNECT %b HTTP/1.1\r\nHost: x\r\n\r\n" % target.encode() + b"".join(more))
        head = await reader.readuntil(b"\r\n\r\n")
        return head.decode(), reader, writer


@contextlib.asynccontextmanager
async def running_gate(
    policy,
    names=None,
    verifier=None,
    hand_over=None,
    resolve=None,
    listening=None,
    host="127.0.0.1",
    **settings,
):
    """Ends with a check that nothing is left over and nothing went wrong unseen."""
    loop = asyncio.get_running_loop()
    faults = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    metrics, holder, verifier = Metrics(), PolicyHolder(policy), verifier or StubVerifier()
    events, handed_over = [], []
    listening = {} if listening is None else listening

    async def lookup(name, client):
        return Answer(tuple(map(parse_address, (names or {}).get(name, ()))))

    async def keep(collector):
        handed_over.append(bytes(collector.buffer))
        collector.transport.close()

    services = FlowServices(
        policy=holder,
        record=events.append,
        metrics=metrics,
        verifier=verifier,
        resolve=resolve or lookup,
        hand_over=hand_over or keep,
        listening=listening,
        settings=TlsSettings(**settings),
        clock=time.time,
    )
    gate = Gate(services)
    explicit = await gate.listen_explicit(Endpoint(host, 0))
    transparent = await gate.listen_transparent(Endpoint(host, 0))
    listening.update(proxy=[explicit], tls=[transparent])
    door = Door(gate, explicit, transparent, metrics, holder, verifier, events, handed_over, faults)
    before = asyncio.all_tasks()
    try:
        yield door
    finally:
        door.close()
        await gate.stop()
        await asyncio.sleep(0.01)
        assert gate.open_connections == 0
        mine = [task for task in asyncio.all_tasks() - before if "Flow" in repr(task)]
        assert not mine
        assert not faults, faults[0]


class Server:
    """A TCP server that keeps what it was sent."""

    def __init__(self, banner=b"", echo=False, eof_reply=b""):
        self.received = bytearray()
        self.connections = 0
        self.ended = asyncio.Event()
        self._banner, self._echo, self._eof_reply = banner, echo, eof_reply

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(ConnectionError):
            if self._banner:
                writer.write(self._banner)
            while data := await reader.read(65536):
                self.received += data
                if self._echo:
                    writer.write(data)
                    await writer.drain()
            writer.write(self._eof_reply)
            await writer.drain()
        self.ended.set()
        writer.close()


def client_hello(name=None):
    """The hello that Python's own TLS sends."""
    context = ssl.create_default_context()
    context.check_hostname = False
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def reset(writer):
    """Disappear as a crashed host does: RST, no FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def until(condition, seconds=5):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 what tests look at has no event
            await asyncio.sleep(0.01)
