"""How a flow names its destination, and how each entrance says yes and no.

Sans-I/O but for original_destination, which asks the kernel about a socket. Parsers
return a value, NEED_MORE, or Malformed; they never raise and read a bounded head.
RFC 9110 9.3.6 (CONNECT), RFC 9209 (Proxy-Status), RFC 1928 (SOCKS5).
"""

import socket
import struct
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from enforcer.policy.addresses import parse_address
from enforcer.policy.model import MAX_PORT, Address
from enforcer.policy.names import parse_host
from enforcer.settings.endpoint import Endpoint
from enforcer.tls.clienthello import Malformed
from enforcer.tls.first_bytes import NEED_MORE, NeedMore

# Request heads above this are refused; squid's default is the same.
MAX_HEAD_BYTES = 65536
_SO_ORIGINAL_DST = 80  # linux/netfilter_ipv4.h; the v6 option has the same number
_SOCKADDR_IN = struct.Struct("!2xH4s8x")
_SOCKADDR_IN6 = struct.Struct("!2xH4x16s4x")


class Destination(NamedTuple):
    """Where a client wants to go: a name or an address, and a port."""

    name: str
    address: Address | None
    port: int


class ConnectHead(NamedTuple):
    """A CONNECT request: its destination, and how many bytes its head has."""

    destination: Destination
    length: int


class PlainHttp(NamedTuple):
    """An HTTP request that is not CONNECT."""


class SocksReply(IntEnum):
    """RFC 1928 6."""

    SUCCEEDED = 0
    GENERAL_FAILURE = 1
    NOT_ALLOWED = 2
    HOST_UNREACHABLE = 4
    CONNECTION_REFUSED = 5
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_TYPE_NOT_SUPPORTED = 8


class ProxyError(NamedTuple):
    """A proxy error type of RFC 9209 2.3, and what each entrance answers with it."""

    proxy_status: str
    http_status: int
    socks: SocksReply


DENIED = ProxyError("http_request_denied", 403, SocksReply.NOT_ALLOWED)
CERTIFICATE_REFUSED = ProxyError("tls_certificate_error", 403, SocksReply.NOT_ALLOWED)
NAME_NOT_FOUND = ProxyError("dns_error", 502, SocksReply.HOST_UNREACHABLE)
CONNECTION_REFUSED = ProxyError("connection_refused", 502, SocksReply.CONNECTION_REFUSED)
UNROUTABLE = ProxyError("destination_ip_unroutable", 502, SocksReply.HOST_UNREACHABLE)
PROHIBITED = ProxyError("destination_ip_prohibited", 403, SocksReply.NOT_ALLOWED)
CONNECTION_TIMEOUT = ProxyError("connection_timeout", 504, SocksReply.HOST_UNREACHABLE)
BAD_REQUEST = ProxyError("http_request_error", 400, SocksReply.GENERAL_FAILURE)

_REASON_PHRASES = {
    400: "Bad Request",
    403: "Forbidden",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}

CONNECT_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
SOCKS_VERSION = 5
SOCKS4_VERSION = 4
# The protocol of 1992 (SOCKS.Protocol): version 0, 91 "request rejected or failed".
SOCKS4_REJECTED = bytes((0, 91)) + bytes(6)
_NO_AUTHENTICATION = 0
_CMD_CONNECT = 1
_ATYP_V4, _ATYP_NAME, _ATYP_V6 = 1, 3, 4


def original_destination(connection: socket.socket, door: Endpoint) -> Destination | None:
    """Where a connection was going that nftables brought to ``door``, our listener.

    REDIRECT leaves the destination with the connection tracker, TPROXY leaves it as the
    socket's own address. None when the client dialled the gateway itself.
    """
    local = connection.getsockname()
    here = Destination("", parse_address(local[0]), local[1])
    there = _tracked_destination(connection) or here
    if there != here:
        return there
    return None if door.port == here.port and _covers(door.host, here.address) else here


def _tracked_destination(connection: socket.socket) -> Destination | None:
    try:
        if connection.family == socket.AF_INET6:
            raw = connection.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, _SOCKADDR_IN6.size)
            port, packed = _SOCKADDR_IN6.unpack(raw)
            return Destination("", parse_address(str(IPv6Address(packed))), port)
        raw = connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, _SOCKADDR_IN.size)
        port, packed = _SOCKADDR_IN.unpack(raw)
        return Destination("", IPv4Address(packed), port)
    except OSError:
        return None  # not tracked


def _covers(host: str, address: Address | None) -> bool:
    listened = parse_address(host)
    return listened.is_unspecified or listened == address


def parse_http_head(data: bytes | bytearray) -> ConnectHead | PlainHttp | NeedMore | Malformed:
    """The head of a proxy request. A plain request is told apart by its first line alone."""
    if data and not data[:1].isalpha():
        return Malformed("not an HTTP request")
    line_end = data.find(b"\r\n")
    if line_end < 0:
        return _need_more(data)
    method, _, rest = bytes(data[:line_end]).partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if not version.startswith(b"HTTP/1."):
        return Malformed("not an HTTP/1 request")
    if method != b"CONNECT":
        return PlainHttp()
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return _need_more(data)
    destination = _parse_authority(target)
    if destination is None:
        return Malformed("CONNECT wants host:port")
    return ConnectHead(destination, end + 4)


def _need_more(data: bytes | bytearray) -> NeedMore | Malformed:
    return Malformed("request head too long") if len(data) > MAX_HEAD_BYTES else NEED_MORE


def _parse_authority(target: bytes) -> Destination | None:
    host, colon, port = target.decode("latin-1").rpartition(":")
    if not colon or not port.isdecimal() or len(port) > len(str(MAX_PORT)):
        return None
    return destination(host.removeprefix("[").removesuffix("]"), int(port))


def destination(host: str, port: int) -> Destination | None:
    """A destination of a host name or an address literal; None when it is neither.

    Names outside ASCII are A-labels on the wire (RFC 3986 3.2.2, RFC 5890 2.3.2.1).
    """
    if not 0 < port <= MAX_PORT or not host.isascii():
        return None
    try:
        return Destination("", parse_address(host), port)
    except ValueError:
        pass
    try:
        return Destination(parse_host(host), None, port)
    except ValueError:
        return None


def build_http_refusal(error: ProxyError, details: str) -> bytes:
    """An error response whose Proxy-Status and body say why."""
    body = f"{details}\n".encode()
    phrase = _REASON_PHRASES[error.http_status]
    head = (
        f"HTTP/1.1 {error.http_status} {phrase}\r\n"
        f"Proxy-Status: {proxy_status(error, details)}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body


def proxy_status(error: ProxyError, details: str) -> str:
    """The Proxy-Status field; details as a structured-field string (RFC 8941 3.3.3)."""
    text = details.encode("ascii", "replace").decode()
    text = "".join(c if c.isprintable() else "?" for c in text)
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'enforcer; error={error.proxy_status}; details="{text}"'


class SocksGreeting(NamedTuple):
    """What to answer to a SOCKS5 greeting; the session ends when not accepted."""

    reply: bytes
    accepted: bool
    length: int


def parse_socks_greeting(data: bytes | bytearray) -> SocksGreeting | NeedMore:
    """RFC 1928 3; only "no authentication" is offered."""
    if len(data) < 2 or len(data) < 2 + data[1]:  # noqa: PLR2004 version and count
        return NEED_MORE
    length = 2 + data[1]
    accepted = _NO_AUTHENTICATION in data[2:length]
    method = _NO_AUTHENTICATION if accepted else 0xFF
    return SocksGreeting(bytes((SOCKS_VERSION, method)), accepted, length)


class SocksRequest(NamedTuple):
    """A SOCKS5 CONNECT: its destination, and how many bytes the request has."""

    destination: Destination
    length: int


class SocksRefused(NamedTuple):
    """A request that cannot be served, and the reply that says so."""

    reply: SocksReply
    reason: str


def parse_socks_request(data: bytes | bytearray) -> SocksRequest | SocksRefused | NeedMore:
    """RFC 1928 4."""
    if len(data) < 5:  # noqa: PLR2004 as far as the length of a name
        return NEED_MORE
    version, command, _, kind = data[:4]
    if version != SOCKS_VERSION:
        return SocksRefused(SocksReply.GENERAL_FAILURE, "not SOCKS5")
    if command != _CMD_CONNECT:
        return SocksRefused(SocksReply.COMMAND_NOT_SUPPORTED, "only CONNECT is supported")
    sizes = {_ATYP_V4: 4, _ATYP_V6: 16, _ATYP_NAME: 1 + data[4]}
    if kind not in sizes:
        return SocksRefused(SocksReply.ADDRESS_TYPE_NOT_SUPPORTED, "unknown address type")
    end = 4 + sizes[kind]
    if len(data) < end + 2:
        return NEED_MORE
    raw = bytes(data[4:end])
    host = raw[1:].decode("latin-1") if kind == _ATYP_NAME else _literal(raw)
    found = destination(host, int.from_bytes(data[end : end + 2], "big"))
    if found is None:
        return SocksRefused(SocksReply.GENERAL_FAILURE, "not a host name and port")
    return SocksRequest(found, end + 2)


def _literal(raw: bytes) -> str:
    return str(IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw))  # noqa: PLR2004 bytes


def build_socks_reply(reply: SocksReply) -> bytes:
    """RFC 1928 6, with an empty bound address."""
    return bytes((SOCKS_VERSION, reply, 0, _ATYP_V4)) + bytes(6)
