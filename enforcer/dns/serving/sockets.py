"""Sockets bound to an address: UDP and TCP on one port, which several processes may share."""

import socket
from enum import Enum
from typing import Final

from enforcer.settings.endpoint import Endpoint

ANY_PORT_TRIES: Final = 20
# The kernel drops what does not fit while the loop is busy; this is a burst's worth.
_RECEIVE_BUFFER_BYTES: Final = 4 << 20


class SharePort(Enum):
    """Whether others may listen on the same port (SO_REUSEPORT); the kernel deals out clients."""

    NO = "no"
    # The first takes the port for itself alone, and opens it afterwards. So a port that
    # another gateway has is an error, and of port 0 comes one that nobody has: for sockets
    # that share, the kernel would give out one of a stranger of the same user.
    FIRST = "first"
    JOIN = "join"


def bind_both(
    endpoint: Endpoint, share: SharePort = SharePort.NO
) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on one port; one that the kernel chose for UDP may be taken for TCP."""
    for tries_left in reversed(range(1 if endpoint.port else ANY_PORT_TRIES)):
        udp = bind_socket(endpoint, socket.SOCK_DGRAM, share)
        try:
            port = udp.getsockname()[1]
            return udp, bind_socket(Endpoint(endpoint.host, port), socket.SOCK_STREAM, share)
        except OSError:
            udp.close()
            if not tries_left:
                raise
    raise AssertionError("at least one try")


def bind_socket(
    endpoint: Endpoint, kind: socket.SocketKind, share: SharePort = SharePort.NO
) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        if family == socket.AF_INET6:
            # 0.0.0.0 and [::] are two listeners, which may both be asked for.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        if share is SharePort.JOIN:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(tuple(endpoint))
        if share is SharePort.FIRST:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        bound.close()
        raise
    return bound
