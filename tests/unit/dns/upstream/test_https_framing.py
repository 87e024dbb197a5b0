"""Queries and replies in HTTP/2, with the same library's server side as the other end."""

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.upstream.https_framing import HttpsFraming
from enforcer.dns.upstream.stream_framing import FramingError

QUERY = b"\0\0\1\0\0\1\0\0\0\0\0\0\1x\4test\0\0\1\0\1"
REPLY = b"\0\0\x81\x80\0\1\0\0\0\0\0\0\1x\4test\0\0\1\0\1"
DNS = "application/dns-message"


class Server:
    """What it was asked, and what it says."""

    def __init__(self, framing):
        self.framing = framing
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.requests = {}
        self.bodies = {}
        self.hear(framing.start())
        assert list(self.tell()) == []

    def hear(self, data):
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.requests[event.stream_id] = {
                    key.decode(): value.decode() for key, value in event.headers
                }
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] = event.data

    def tell(self):
        replies = list(self.framing.receive(self.h2.data_to_send()))
        self.hear(self.framing.answer())
        return replies

    def respond(self, stream, body=REPLY, status="200", kind=DNS, end=True):
        self.h2.send_headers(stream, [(":status", status), ("content-type", kind)])
        for start in range(0, len(body), 8000):
            self.h2.send_data(stream, body[start : start + 8000])
        if end:
            self.h2.end_stream(stream)


@pytest.fixture
def server():
    return Server(HttpsFraming("dns.example", "/dns-query"))


def ask(server):
    stream, data = server.framing.send(QUERY)
    server.hear(data)
    return stream


def test_a_query_is_a_post_with_the_message_as_its_body(server):
    stream = ask(server)
    assert server.requests[stream] == {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "dns.example",
        ":path": "/dns-query",
        "accept": DNS,
        "content-type": DNS,
        "content-length": str(len(QUERY)),
    }
    assert server.bodies[stream] == QUERY


def test_the_id_is_zero_since_the_stream_tells_queries_apart(server):
    assert server.framing.choose_id({0}, lambda: 7) == 0


def test_replies_come_in_any_order_under_their_streams(server):
    first, second = ask(server), ask(server)
    server.respond(second)
    server.respond(first, REPLY + b"more")
    assert server.tell() == [(second, REPLY), (first, REPLY + b"more")]


@pytest.mark.parametrize(
    "response", [{"status": "503"}, {"status": "302"}, {"kind": "text/html"}, {"kind": ""}]
)
def test_what_is_no_dns_message_is_refused_once(server, response):
    stream = ask(server)
    server.respond(stream, **response)
    assert server.tell() == [(stream, None)]


def test_a_media_type_may_have_parameters(server):
    stream = ask(server)
    server.respond(stream, kind="Application/DNS-Message; charset=x")
    assert server.tell() == [(stream, REPLY)]


def test_a_stream_that_is_reset_is_refused(server):
    stream = ask(server)
    server.h2.reset_stream(stream)
    assert server.tell() == [(stream, None)]


def test_a_body_larger_than_any_message_is_refused_and_stopped(server):
    stream = ask(server)
    server.respond(stream, b"\0" * 60_000, end=False)
    assert server.tell() == []
    server.h2.send_data(stream, b"\0" * 5_000)
    server.h2.send_data(stream, b"\0" * 5_000)
    assert server.tell() == [(stream, None)]


def test_the_largest_message_comes_through(server):
    stream = ask(server)
    server.respond(stream, REPLY + bytes(50_000), end=False)
    assert server.tell() == []
    server.h2.send_data(stream, bytes(0xFFFF - 50_000 - len(REPLY)), end_stream=True)
    [(_, body)] = server.tell()
    assert len(body) == 0xFFFF


def test_a_connection_that_the_server_ends_takes_no_more(server):
    assert server.framing.has_room
    server.h2.close_connection()
    server.tell()
    assert not server.framing.has_room


def test_what_is_no_http2_ends_the_connection():
    framing = HttpsFraming("dns.example", "/dns-query")
    framing.start()
    with pytest.raises(FramingError):
        framing.receive(b"\0\0\4\4\0\0\0\0\1more of it")


def test_a_frame_that_never_ends_is_not_waited_for():
    """To HTTP/2, HTTP/1.1 is a frame of nearly five million bytes."""
    framing = HttpsFraming("dns.example", "/dns-query")
    framing.start()
    chunk = b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 20_000
    assert [list(framing.receive(chunk)) for _ in range(6)] == [[]] * 6
    with pytest.raises(FramingError):
        framing.receive(chunk)


@given(st.binary(max_size=300), st.integers(0, 80))
def test_no_bytes_are_too_strange(data, keep):
    framing = HttpsFraming("dns.example", "/dns-query")
    server = Server(framing)
    stream = ask(server)
    server.respond(stream)
    genuine = server.h2.data_to_send()
    try:
        replies = list(framing.receive(genuine[:keep] + data))
    except FramingError:
        return
    assert all(key == stream or body is None for key, body in replies)
