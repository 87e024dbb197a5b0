"""DNS over TLS (RFC 7858): accepts, shakes hands, and hands over to ``tcp``.

A proxy that is trusted with it may put its PROXY header before the handshake, as HAProxy
does, or within TLS, as dnsdist does.
"""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from enforcer.dns.ask import DOT
from enforcer.dns.serving.proxy_header import PREFIX, SIGNATURE, ProxyHeader, parse_proxy_header
from enforcer.dns.serving.tcp import Connections, TcpConnection
from enforcer.policy.addresses import parse_address

log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 5.0
# Certificates are renewed by others, who do not tell us: the files are looked at so often.
LOOK_EVERY_S: Final = 1.0
# When the process has no descriptor left, accepting waits for so long.
_RETRY_ACCEPT_S: Final = 1.0
_BACKLOG: Final = 512

Seen = tuple[tuple[int, ...], ...]


class CertificateError(Exception):
    """The certificate and key cannot be used; the message says why."""


class DotCertificate:
    """The listener's certificate chain and key. A changed file counts from the next client on."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises CertificateError."""
        self._certificate = certificate
        self._key = key
        self._seen: Seen | None = self._look()
        self._looked_at_s = 0.0
        self.context = self._load()

    async def current(self) -> ssl.SSLContext:
        """What the next client is shown: the files as they are, or as they last were usable."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._looked_at_s >= LOOK_EVERY_S:
            self._looked_at_s = now_s
            await asyncio.to_thread(self._take_up_change)
        return self.context

    def _take_up_change(self) -> None:
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.context = self._load()
        except CertificateError as error:
            log.error("DNS over TLS keeps its old certificate: %s", error)
        else:
            log.info("DNS over TLS has a new certificate from %s", self._certificate)

    def _look(self) -> Seen | None:
        try:
            found = [path.stat() for path in (self._certificate, self._key)]
        except OSError:
            return None
        return tuple((f.st_dev, f.st_ino, f.st_size, f.st_mtime_ns) for f in found)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8310 7.3, RFC 9325 3.1.1
        context.set_alpn_protocols(["dot"])  # RFC 7858 as registered with IANA
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except ssl.SSLError as error:
            raise CertificateError(
                f"{self._certificate} and {self._key} are not a certificate and its key in PEM: "
                f"{error.reason or error}"
            ) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise CertificateError(f"{self._certificate} or {self._key}: {reason}") from None
        return context


def _no_password() -> str:
    """Without it OpenSSL would ask at the terminal, and wait."""
    raise ValueError("the key has a password; write it without one")


class DotListener:
    """One listening socket. Clients that shake hands count as connections."""

    def __init__(
        self, bound: socket.socket, certificate: DotCertificate, connections: Connections
    ) -> None:
        """Takes over a socket that is bound and does not block. Raises OSError."""
        self._socket = bound
        self._certificate = certificate
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._greeting: set[asyncio.Task[None]] = set()
        self._greeting_of: Counter[str] = Counter()
        self._retry: asyncio.TimerHandle | None = None
        bound.listen(_BACKLOG)
        self._loop.add_reader(bound, self._accept)

    def close(self) -> None:
        """Accept nobody any more. Those who shake hands are let go."""
        if self._retry:
            self._retry.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for task in tuple(self._greeting):
            task.cancel()

    def _accept(self) -> None:
        try:
            client, address = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            log.error("DNS over TLS cannot accept: %s", error.strerror)
            self._loop.remove_reader(self._socket)
            self._retry = self._loop.call_later(
                _RETRY_ACCEPT_S, self._loop.add_reader, self._socket, self._accept
            )
            return
        if not self._has_room(address[0]):
            self._connections.discarded.add("too_many_connections")
            client.close()
            return
        client.setblocking(False)
        self._keep(self._greet(client, address[0]), address[0])

    def _has_room(self, peer: str) -> bool:
        """Whoever is silent while it should shake hands takes no more room than another."""
        limits = self._connections.limits
        return len(self._greeting) + len(self._connections) < limits.connections and (
            self._greeting_of[peer] < limits.connections_per_client
            or self._connections.proxies.allows(parse_address(peer))
        )

    def _keep(self, coroutine: Coroutine[Any, Any, None], peer: str) -> None:
        task = self._loop.create_task(coroutine)
        self._greeting.add(task)
        self._greeting_of[peer] += 1

        def forget(task: asyncio.Task[None]) -> None:
            self._greeting.discard(task)
            self._greeting_of[peer] -= 1
            if not self._greeting_of[peer]:
                del self._greeting_of[peer]

        task.add_done_callback(forget)

    async def _greet(self, client: socket.socket, peer: str) -> None:
        handed_over = False
        try:
            async with asyncio.timeout(2 * HANDSHAKE_S):
                header = None
                if self._connections.proxies.allows(parse_address(peer)):
                    header = await self._read_header(client)
                context = await self._certificate.current()
                handed_over = True
                await self._loop.connect_accepted_socket(
                    lambda: TcpConnection(self._connections, DOT, header),
                    client,
                    ssl=context,
                    ssl_handshake_timeout=HANDSHAKE_S,
                )
        except _NoHeaderError:
            self._connections.discarded.add("proxy_header")
        except (OSError, EOFError, TimeoutError):
            # ssl.SSLError is an OSError: whoever does not speak TLS, or no version of ours.
            self._connections.discarded.add("tls_handshake")
        finally:
            if not handed_over:
                client.close()

    async def _read_header(self, client: socket.socket) -> ProxyHeader | None:
        """The header before TLS, and not a byte more; None where TLS begins at once."""
        await self._readable(client)
        if client.recv(1, socket.MSG_PEEK) != SIGNATURE[:1]:
            return None
        data = await self._read(client, PREFIX.size)
        data += await self._read(client, int.from_bytes(data[-2:], "big"))
        header = parse_proxy_header(data)
        if not isinstance(header, ProxyHeader):
            raise _NoHeaderError
        return header

    async def _readable(self, client: socket.socket) -> None:
        ready = asyncio.Event()
        self._loop.add_reader(client, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_reader(client)

    async def _read(self, client: socket.socket, count: int) -> bytes:
        data = b""
        while len(data) < count:
            read = await self._loop.sock_recv(client, count - len(data))
            if not read:
                raise EOFError
            data += read
        return data


class _NoHeaderError(Exception):
    """A proxy began one, and it is none."""
