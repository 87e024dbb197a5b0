"""uvicorn in our loop: it owns neither the signals, nor the log, nor the process.

Bounded whoever connects: one response a connection, a few connections at once, and a
few seconds for each, whether it is silent, slow to ask or slow to read.
"""

import asyncio
import socket

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from enforcer.settings.endpoint import Endpoint

MAX_CONNECTIONS = 64
CONNECTION_LIFETIME_S = 10.0
# Far more than a scraper's headers are.
MAX_HEADER_BYTES = 16_384
_BACKLOG = 64
_SHUTDOWN_S = 1


class AdminServer:
    """``listen`` once for each endpoint, ``stop`` in the end.

    ``lifetime_s`` is how long a connection may take from its first to its last byte.
    """

    def __init__(self, app: ASGIApp, lifetime_s: float = CONNECTION_LIFETIME_S) -> None:
        self._app = app
        self._lifetime_s = lifetime_s
        self._servers: list[Server] = []

    async def listen(self, endpoint: Endpoint) -> Endpoint:
        """Serve there, and say where: port 0 is any free one. Raises OSError."""
        bound = _bind(endpoint)
        config = Config(
            self._app,
            http=_bounded(self._lifetime_s),
            ws="none",
            lifespan="off",
            log_config=None,
            # Below are only remarks on what clients send, which they could flood us with.
            log_level="error",
            access_log=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_SHUTDOWN_S,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        config.load()
        server = Server(config)
        server.server_state.default_headers = [(b"connection", b"close")]
        # What Server.serve does, without its signal handlers and its ten ticks a second.
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[bound])
        self._servers.append(server)
        host, port = bound.getsockname()[:2]
        return Endpoint(host, port)

    async def stop(self) -> None:
        """Take no more, and let what is being answered finish within a second."""
        servers, self._servers = self._servers, []
        for server in servers:
            await server.shutdown()


def _bind(endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # As asyncio does for the other listeners: [::] is IPv6 alone.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(endpoint)
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _bounded(lifetime_s: float) -> type[asyncio.Protocol]:
    class BoundedProtocol(H11Protocol):
        """A connection that ends in time, and is not taken when there are many."""

        _end: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > MAX_CONNECTIONS:
                transport.abort()
            else:
                self._end = self.loop.call_later(lifetime_s, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._end:
                self._end.cancel()
            super().connection_lost(exc)

    return BoundedProtocol
