"""TLS servers on loopback, well-behaved and not, for whoever probes them."""

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

LOOPBACK = ip_address("127.0.0.1")


def server_context(leaf, maximum=ssl.TLSVersion.TLSv1_3, ciphers="DEFAULT"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = maximum
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")  # for weak keys
    with TemporaryDirectory() as directory:
        context.load_cert_chain(*leaf.write(Path(directory), "server"))
    return context


class Edge:
    """A TLS server in threads of its own; it counts who comes, and may be told to hold them.

    ``with Edge(context) as edge`` listens at ``edge.port``. ``versions`` are those of the
    handshakes that came to their end.
    """

    def __init__(self, context):
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.versions = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.came = threading.Event()

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self.may_go_on.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self.came.set()
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with connection:
            connection.settimeout(10)
            self.may_go_on.wait(10)
            # Whoever is probed is hung up on, at any moment.
            with (
                contextlib.suppress(OSError),
                self._context.wrap_socket(connection, server_side=True) as tls,
            ):
                self.versions.append(tls.version())
                while tls.recv(65536):
                    pass


@contextlib.asynccontextmanager
async def listening(behave):
    """A server without TLS; ``behave(reader, writer)`` is what it does with a connection."""
    serving = {}

    async def serve(reader, writer):
        serving[asyncio.current_task()] = writer
        try:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
            ):
                await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task, writer in serving.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*serving, return_exceptions=True)


async def read_all(reader, writer):
    while await reader.read(65536):
        pass


def handshake_record(kind, body):
    message = bytes([kind]) + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message


def server_hello_and(*certificates):
    """The first flight of a TLS 1.2 server that knows nothing of safe renegotiation."""
    hello = b"\x03\x03" + os.urandom(32) + b"\0" + b"\xc0\x2f" + b"\0" + b"\0\0"
    chain = b"".join(len(der).to_bytes(3, "big") + der for der in certificates)
    certificate = len(chain).to_bytes(3, "big") + chain
    return handshake_record(2, hello) + handshake_record(11, certificate)
