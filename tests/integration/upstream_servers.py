"""Upstreams of the tests' own on loopback, which answer, lie and dawdle as they are told."""

import asyncio
import contextlib
import socket
import ssl
import struct

import h2.config
import h2.connection
import h2.events
import h2.settings

from enforcer.dns.packets.wire import Edns, Query
from enforcer.dns.upstream.forwarder import Forwarder
from enforcer.metrics import Metrics
from enforcer.policy.names import to_wire
from enforcer.settings.upstream import Transport, Upstream

ANSWER = b"\xc0\x0c\0\1\0\1\0\0\0<\0\4\xc0\0\2\1"
HOST = "127.0.0.1"


def question_of(packet):
    end = packet.index(b"\0", 12) + 5
    return packet[12:end]


def right(packet, flags=0x8180, answers=1):
    """The reply to a query, without OPT."""
    header = packet[:2] + struct.pack("!5H", flags, 1, answers, 0, 0)
    return header + question_of(packet) + ANSWER * answers


def query(name="www.example", ident=7, **changes):
    wire = to_wire(name)
    return Query(ident, 0x0100, wire, 1, wire + b"\0\1\0\1", None)._replace(**changes)


def is_answer(reply, asked):
    """Whether it is what the client of ``asked`` should get."""
    head = asked.id.to_bytes(2, "big") + b"\x81\x80\0\1"
    return reply is not None and reply.startswith(head) and reply[12:] == asked.question + ANSWER


class UdpServer(asyncio.DatagramProtocol):
    """``answer(packet)`` gives the datagrams to send back, some from a socket of its own."""

    def __init__(self, answer):
        self._answer = answer
        self.queries = []
        self.ports = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.queries.append(data)
        self.ports.append(addr[1])
        for reply in self._answer(data):
            self.transport.sendto(reply, addr)


@contextlib.asynccontextmanager
async def udp_server(answer, port=0):
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: UdpServer(answer), local_addr=(HOST, port)
    )
    server.upstream = Upstream(*transport.get_extra_info("sockname"))
    try:
        yield server
    finally:
        transport.close()


class StreamServer:
    """``serve(server, packet, writer)`` is called for each query that came in whole."""

    def __init__(self, serve):
        self._serve = serve
        self.queries = []
        self.connections = 0
        self.resumed = 0
        self._writers = set()

    async def take(self, reader, writer):
        self.connections += 1
        tls = writer.get_extra_info("ssl_object")
        self.resumed += bool(tls and tls.session_reused)
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, ssl.SSLError):
            while True:
                length = struct.unpack("!H", await reader.readexactly(2))[0]
                packet = await reader.readexactly(length)
                self.queries.append(packet)
                await self._serve(self, packet, writer)
                await writer.drain()
        writer.close()

    def drop_all(self):
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


def framed(message):
    return struct.pack("!H", len(message)) + message


async def answer_at_once(server, packet, writer):
    writer.write(framed(right(packet)))


@contextlib.asynccontextmanager
async def stream_server(serve=answer_at_once, *, tls=None, name="", port=0, take=None):
    server = StreamServer(serve)
    listening = await asyncio.start_server(take or server.take, HOST, port, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    transport = Transport.TLS if tls else Transport.TCP
    server.upstream = Upstream(HOST, port, transport, name)
    try:
        yield server
    finally:
        listening.close()
        server.drop_all()
        await asyncio.sleep(0.01)


class HttpsServer:
    """RFC 8484 over HTTP/2; ``respond(h2, stream, packet)`` says what comes back."""

    def __init__(self, respond, max_streams):
        self._respond = respond
        self._max_streams = max_streams
        self.requests = []
        self.connections = 0

    async def take(self, reader, writer):
        self.connections += 1
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self._max_streams}
        conn.local_settings = h2.settings.Settings(client=False, initial_values=limit)
        conn.initiate_connection()
        writer.write(conn.data_to_send())
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await reader.read(65536):
                for event in conn.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        self.requests.append(dict(event.headers))
                    elif isinstance(event, h2.events.DataReceived):
                        self._respond(conn, event.stream_id, event.data)
                writer.write(conn.data_to_send())
        writer.close()


def respond_with_message(conn, stream, packet):
    conn.send_headers(stream, [(":status", "200"), ("content-type", "application/dns-message")])
    conn.send_data(stream, right(packet), end_stream=True)


@contextlib.asynccontextmanager
async def https_server(tls, name, respond=respond_with_message, max_streams=100):
    server = HttpsServer(respond, max_streams)
    tls.set_alpn_protocols(["h2"])
    async with stream_server(tls=tls, name=name, take=server.take) as listening:
        server.upstream = listening.upstream._replace(transport=Transport.HTTPS, path="/dns-query")
        yield server


def server_context(leaf, directory):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*leaf.write(directory, "server"))
    return context


def nobody():
    """A port at which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind((HOST, 0))
        return Upstream(*closed.getsockname())


class Client:
    """A forwarder, its metrics, and what it counted."""

    def __init__(self, *upstreams, **options):
        self.metrics = Metrics()
        options = {"timeout_s": 1.0, "total_timeout_s": 2.0, **options}
        self.forwarder = Forwarder(upstreams, metrics=self.metrics, **options)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.forwarder.close()
        # Transports end in the loop's next round.
        await asyncio.sleep(0.01)

    async def ask(self, *args, **changes):
        return await self.forwarder.ask(query(*args, **changes))

    def ignored(self):
        cells = self.metrics.dns_upstream_ignored.cells
        return {reason: cell.value for (reason,), cell in cells.items() if cell.value}

    def ended(self, ending):
        cells = self.metrics.dns_upstream_queries.cells
        return sum(cell.value for (_, result), cell in cells.items() if result == ending)


EDNS = Edns(1232, do=False)
