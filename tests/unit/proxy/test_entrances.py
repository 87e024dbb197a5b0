import socket
import struct
from ipaddress import ip_address

import pytest

from enforcer.proxy import entrances
from enforcer.proxy.entrances import (
    ConnectHead,
    Destination,
    PlainHttp,
    SocksRefused,
    SocksReply,
    SocksRequest,
    build_http_refusal,
    original_destination,
    parse_http_head,
    parse_socks_greeting,
    parse_socks_request,
    proxy_status,
)
from enforcer.settings.endpoint import Endpoint
from enforcer.tls.clienthello import Malformed
from enforcer.tls.first_bytes import NEED_MORE

V4, V6 = ip_address("203.0.113.9"), ip_address("2001:db8::9")


class Redirected:
    """What a socket says of itself: its own address, and what the connection tracker knows."""

    def __init__(self, local, tracked=None):
        self.family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
        self._local, self._tracked = local, tracked

    def getsockname(self):
        return (*self._local, 0, 0) if self.family == socket.AF_INET6 else self._local

    def getsockopt(self, level, option, size):
        assert option == 80
        if self._tracked is None:
            raise OSError(2, "not tracked")
        host, port = self._tracked
        packed = ip_address(host).packed
        if self.family == socket.AF_INET6:
            assert (level, size) == (socket.IPPROTO_IPV6, 28)
            return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", port, 0, packed, 0)
        assert (level, size) == (socket.SOL_IP, 16)
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, packed)


@pytest.mark.parametrize(
    ("connection", "door", "going_to"),
    [
        # REDIRECT
        (Redirected(("10.0.0.1", 8443), (str(V4), 443)), Endpoint("0.0.0.0", 8443), (V4, 443)),
        (Redirected(("::1", 8443), (str(V6), 443)), Endpoint("::", 8443), (V6, 443)),
        # a port of the same address
        (Redirected(("10.0.0.1", 8443), ("10.0.0.1", 443)), Endpoint("10.0.0.1", 8443), None),
        # TPROXY, with and without a tracker
        (Redirected((str(V4), 443)), Endpoint("0.0.0.0", 8443), (V4, 443)),
        (Redirected((str(V4), 443), (str(V4), 443)), Endpoint("127.0.0.1", 8443), (V4, 443)),
        (Redirected((str(V4), 8443)), Endpoint("127.0.0.1", 8443), (V4, 8443)),
        (Redirected((str(V6), 443)), Endpoint("::1", 8443), (V6, 443)),
    ],
)
def test_a_redirected_connection_tells_where_it_was_going(connection, door, going_to):
    found = original_destination(connection, door)
    expected = (ip_address("10.0.0.1"), 443) if going_to is None else going_to
    assert found == Destination("", *expected)


@pytest.mark.parametrize("tracked", [None, ("127.0.0.1", 8443)])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_client_that_dialled_the_door_itself_was_going_nowhere(host, tracked):
    connection = Redirected(("127.0.0.1", 8443), tracked)
    assert original_destination(connection, Endpoint(host, 8443)) is None


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            b"CONNECT Connect.Example.COM.:443 HTTP/1.1",
            Destination("connect.example.com", None, 443),
        ),
        (b"CONNECT 203.0.113.9:443 HTTP/1.0", Destination("", V4, 443)),
        (b"CONNECT [2001:db8::9]:8443 HTTP/1.1", Destination("", V6, 8443)),
        (b"CONNECT [::ffff:203.0.113.9]:443 HTTP/1.1", Destination("", V4, 443)),
        # Not an address to us: no resolver of ours turns it into one.
        (b"CONNECT 2130706433:443 HTTP/1.1", Destination("2130706433", None, 443)),
    ],
)
def test_connect_names_a_destination(head, expected):
    data = head + b"\r\nHost: somewhere.else\r\n\r\n"
    assert parse_http_head(data + b"\x16\x03\x01") == ConnectHead(expected, len(data))


@pytest.mark.parametrize(
    "line",
    [
        b"CONNECT HTTP/1.1",
        b"CONNECT host HTTP/1.1",
        b"CONNECT host: HTTP/1.1",
        b"CONNECT host:0 HTTP/1.1",
        b"CONNECT host:65536 HTTP/1.1",
        b"CONNECT host:-1 HTTP/1.1",
        b"CONNECT host:4 43 HTTP/1.1",
        b"CONNECT ho st:443 HTTP/1.1",
        b"CONNECT :443 HTTP/1.1",
        b"CONNECT a..b:443 HTTP/1.1",
        b"CONNECT b\xc3\xbccher.example:443 HTTP/1.1",
        b"CONNECT http://host:443/ HTTP/1.1",
        b"CONNECT host:443 HTTP/2.0",
        b"CONNECT host:443",
        b"PRI * HTTP/2.0",
        b"",
        b" GET / HTTP/1.1",
    ],
)
def test_a_head_that_makes_no_sense_is_malformed(line):
    assert isinstance(parse_http_head(line + b"\r\n\r\n"), Malformed)


@pytest.mark.parametrize("first", [b"\x16\x03\x01", b"\0", b"\xff", b"\n"])
def test_what_is_not_http_is_told_by_its_first_byte(first):
    assert isinstance(parse_http_head(first), Malformed)


def test_a_plain_request_is_told_by_its_first_line():
    assert (
        parse_http_head(b"GET http://crl.ngrok-agent.com/ngrok.crl HTTP/1.1\r\nHo") == PlainHttp()
    )
    assert parse_http_head(b"GET http://crl.ngrok-agent.com/ngrok.crl HTTP/1.1\r") is NEED_MORE


def test_a_head_is_waited_for_up_to_its_limit():
    head = b"CONNECT host:443 HTTP/1.1\r\nX: "
    filler = b"x" * (entrances.MAX_HEAD_BYTES - len(head))
    assert parse_http_head(head + filler) is NEED_MORE
    assert isinstance(parse_http_head(head + filler + b"x"), Malformed)


def test_proxy_status_is_one_structured_field():
    field = proxy_status(entrances.DENIED, 'a "quoted" \\ \r\nX-Evil: 1 \x7f ü \u2028')
    assert field == (
        'enforcer; error=http_request_denied; details="a \\"quoted\\" \\\\ ??X-Evil: 1 ? ? ?"'
    )


def test_a_refusal_is_a_whole_response():
    response = build_http_refusal(entrances.DENIED, "not here: ü")
    head, _, body = response.partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")
    assert lines[0] == "HTTP/1.1 403 Forbidden"
    assert "Connection: close" in lines
    assert f"Content-Length: {len(body)}" in lines
    assert body.decode() == "not here: ü\n"


def test_every_error_has_a_reason_phrase():
    errors = [
        value for value in vars(entrances).values() if isinstance(value, entrances.ProxyError)
    ]
    assert len(errors) >= 8
    for error in errors:
        assert build_http_refusal(error, "x").startswith(b"HTTP/1.1 %d " % error.http_status)


@pytest.mark.parametrize(
    ("said", "reply", "accepted"),
    [
        (b"\x05\x01\x00", b"\x05\x00", True),
        (b"\x05\x03\x02\x01\x00", b"\x05\x00", True),
        (b"\x05\x01\x02", b"\x05\xff", False),
        (b"\x05\x00", b"\x05\xff", False),
    ],
)
def test_socks_goes_on_without_authentication_or_not_at_all(said, reply, accepted):
    assert parse_socks_greeting(said + b"rest") == (reply, accepted, len(said))


def socks(kind, address, port=443, version=5, command=1):
    return bytes((version, command, 0, kind)) + address + port.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (socks(1, V4.packed), Destination("", V4, 443)),
        (socks(4, V6.packed), Destination("", V6, 443)),
        (socks(3, b"\x0bExample.NET"), Destination("example.net", None, 443)),
        (socks(3, b"\x0b203.0.113.9"), Destination("", V4, 443)),
    ],
)
def test_socks_names_a_destination(request_bytes, expected):
    found = parse_socks_request(request_bytes + b"rest")
    assert found == SocksRequest(expected, len(request_bytes))


@pytest.mark.parametrize(
    ("request_bytes", "reply"),
    [
        (socks(1, V4.packed, version=4), SocksReply.GENERAL_FAILURE),
        (socks(1, V4.packed, command=2), SocksReply.COMMAND_NOT_SUPPORTED),
        (socks(1, V4.packed, command=3), SocksReply.COMMAND_NOT_SUPPORTED),
        (socks(2, V4.packed), SocksReply.ADDRESS_TYPE_NOT_SUPPORTED),
        (socks(1, V4.packed, port=0), SocksReply.GENERAL_FAILURE),
        (socks(3, b"\x00", port=443) + b"x", SocksReply.GENERAL_FAILURE),
        (socks(3, b"\x02\xc3\xbc"), SocksReply.GENERAL_FAILURE),
    ],
)
def test_socks_says_what_it_cannot_do(request_bytes, reply):
    found = parse_socks_request(request_bytes)
    assert isinstance(found, SocksRefused)
    assert found.reply is reply
