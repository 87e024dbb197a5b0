"""The gate on loopback, on both event loops: real sockets, stubbed certificates and names."""

import asyncio
import contextlib
import hashlib
import logging
import os
import random
import socket
from pathlib import Path

import pytest
import uvloop
from integration.gate_harness import (
    REFUSED,
    UNAVAILABLE,
    Server,
    StubVerifier,
    client_hello,
    reset,
    running_gate,
    until,
)

BLOCKED = "connect.ngrok-agent.com"
URL = "connect.example.com"
ALERT_ACCESS_DENIED = bytes.fromhex("15030300020231")
ALERT_UNRECOGNIZED_NAME = bytes.fromhex("15030300020270")
SSH = b"SSH-2.0-OpenSSH_9.2\r\n"


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """Runs a scenario within a time limit."""

    def bounded(scenario):
        async def main():
            async with asyncio.timeout(30):
                await scenario

        request.param(main())

    return bounded


@pytest.fixture
def policy(policy_from):
    """With the Connect URL on the port of a test's own server."""

    def build(port=443, mode="enforce", more=""):
        return policy_from(f"""
version: 1
mode: {mode}
default: allow
include: [packs/ngrok.yaml]
connect_urls: [{{host: {URL}, port: {port}, issuer: ngrok}}]
rules:
  - {{id: no-ssh, action: block, match: {{ports: [{port}], protocols: [ssh]}}}}
  {more}
""")

    return build


def test_the_connect_url_gets_the_clients_bytes_untouched(run, policy):
    async def scenario():
        hello = client_hello(URL)
        async with (
            Server(echo=True) as server,
            running_gate(policy(server.port), {URL: ["127.0.0.1"]}) as door,
        ):
            head, reader, writer = await door.connect(f"{URL}:{server.port}")
            assert head.startswith("HTTP/1.1 200 ")
            assert door.verifier.asked == [("127.0.0.1", server.port, URL)]
            writer.write(hello)
            assert await reader.readexactly(len(hello)) == hello
            writer.close()
            await server.ended.wait()
            assert server.received == hello
            await until(lambda: door.gate.open_connections == 0)
            assert [(event.name, event.action) for event in door.events] == [(URL, "allow")]
            assert door.metrics.spliced_bytes.cell("to_upstream").value == len(hello)
            assert door.metrics.spliced_bytes.cell("to_client").value == len(hello)

    run(scenario())


def test_bytes_sent_with_the_connect_are_passed_on_once(run, policy):
    async def scenario():
        hello = client_hello("www.example.com")
        async with Server() as server, running_gate(policy()) as door:
            _, _, writer = await door.connect(f"127.0.0.1:{server.port}", hello)
            await until(lambda: len(server.received) >= len(hello))
            writer.write(b"more")
            writer.close()
            await server.ended.wait()
            assert server.received == hello + b"more"

    run(scenario())


def test_nothing_is_dialled_before_the_certificate_is_known(run, policy):
    async def scenario():
        verifier = StubVerifier()
        verifier.gate = asyncio.Event()
        async with (
            Server() as server,
            running_gate(policy(server.port), {URL: ["127.0.0.1"]}, verifier) as door,
        ):
            asking = asyncio.ensure_future(door.connect(f"{URL}:{server.port}", client_hello(URL)))
            await until(lambda: verifier.asked)
            # A policy that comes meanwhile is for the connections after this one.
            door.policy.current = policy(
                server.port,
                more=f"""
  - {{id: closed, action: block, match: {{names: [{URL}], ports: [{server.port}],
      clients: [127.0.0.1/32]}}}}""",
            )
            assert server.connections == 0
            verifier.gate.set()
            head, _, writer = await asking
            assert head.startswith("HTTP/1.1 200 ")
            await until(lambda: server.received)
            writer.close()
            head, _, _ = await door.connect(f"{URL}:{server.port}")
            assert head.startswith("HTTP/1.1 403 ")

    run(scenario())


def test_a_wrong_issuer_is_refused_with_its_reason(run, policy):
    async def scenario():
        async with (
            Server() as server,
            running_gate(policy(server.port), {URL: ["127.0.0.1"]}, StubVerifier(REFUSED)) as door,
        ):
            head, reader, _ = await door.connect(f"{URL}:{server.port}")
            assert head.startswith("HTTP/1.1 403 ")
            assert "Proxy-Status: enforcer; error=tls_certificate_error; details=" in head
            assert b"issued by somebody else" in await reader.read()
            assert server.connections == 0
            assert [event.action for event in door.events] == ["block"]

    run(scenario())


def test_an_address_that_is_down_does_not_take_the_connect_url_with_it(run, policy):
    async def scenario():
        async with (
            Server(banner=b"here") as server,
            running_gate(
                policy(server.port),
                {URL: ["127.0.0.9", "127.0.0.1"]},
                StubVerifier({"127.0.0.9": UNAVAILABLE}),
            ) as door,
        ):
            head, _, _ = await door.connect(f"{URL}:{server.port}")
            assert head.startswith("HTTP/1.1 200 ")
            assert server.connections == 1

    run(scenario())


def test_an_impostor_is_on_record_though_another_address_is_served(run, policy):
    async def scenario():
        async with (
            Server(echo=True) as server,
            running_gate(
                policy(server.port),
                {URL: ["127.0.0.9", "127.0.0.1"]},
                StubVerifier({"127.0.0.9": REFUSED}),
            ) as door,
        ):
            hello = client_hello(URL)
            _, reader, writer = await door.connect(f"{URL}:{server.port}", hello)
            assert await reader.readexactly(len(hello)) == hello
            writer.close()
            assert [(event.address, event.action) for event in door.events] == [
                ("127.0.0.9", "block"),
                ("127.0.0.1", "allow"),
            ]
            assert door.metrics.tls_connections.cell("allow", "connect").value == 1
            assert door.metrics.tls_connections.cell("block", "connect").value == 0

    run(scenario())


def test_a_blocked_name_is_refused_before_anything_is_looked_up(run, policy):
    async def scenario():
        async with running_gate(policy(), {}) as door:
            head, reader, _ = await door.connect(f"{BLOCKED.upper()}.:443")
            assert head.startswith("HTTP/1.1 403 Forbidden\r\n")
            assert "Proxy-Status: enforcer; error=http_request_denied; details=" in head
            assert URL.encode() in await reader.read()
            assert [event.rule for event in door.events] == ["ngrok-connect"]
            assert door.metrics.tls_connections.cell("block", "connect").value == 1

    run(scenario())


@pytest.mark.parametrize("target", ["127.0.0.1", "innocent.example.net"])
def test_a_blocked_server_name_in_a_tunnel_is_refused_by_an_alert(run, policy, target):
    async def scenario():
        names = {"innocent.example.net": ["127.0.0.1"]}
        async with Server() as server, running_gate(policy(), names) as door:
            _, reader, _ = await door.connect(f"{target}:{server.port}", client_hello(BLOCKED))
            assert await reader.read() == ALERT_UNRECOGNIZED_NAME
            await server.ended.wait()
            assert not server.received

    run(scenario())


@pytest.mark.parametrize(
    "words", [SSH, b"GET / HTTP/1.1\r\n\r\n", b"EHLO me\r\n"], ids=["ssh", "http", "unknown"]
)
def test_the_connect_url_is_for_tls_only(run, policy, words):
    async def scenario():
        async with (
            Server() as server,
            running_gate(policy(server.port), {URL: ["127.0.0.1"]}) as door,
        ):
            _, reader, _ = await door.connect(f"{URL}:{server.port}", words)
            assert await reader.read() == b""
            await server.ended.wait()
            assert not server.received
            assert door.events[-1].action == "block"

    run(scenario())


@pytest.mark.parametrize(
    "segments",
    [
        [b"\n" + SSH],
        [b"hello\r\n\r\n" + SSH],
        [b"GET / HTTP/1.1\r\n" + SSH],
        [b"\n", SSH],
        [b"\n", b"SS", b"H", b"-", b"2.0-Go\r\n"],
        [b"GET / HTTP/1.1\r", b"\nSSH", SSH[3:]],
        [bytes(240) + b"\nSS", SSH[2:]],
    ],
    ids=["empty line", "lines", "http", "two", "pieces", "http in pieces", "far"],
)
def test_ssh_behind_something_else_is_ssh(run, policy, segments):
    async def scenario():
        async with Server(banner=SSH) as server, running_gate(policy(server.port)) as door:
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}")
            assert await reader.readline() == SSH
            for segment in segments:
                writer.write(segment)
                await asyncio.sleep(0.02)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            await server.ended.wait()
            assert b"SSH-" not in server.received
            assert door.events[-1].rule == "no-ssh"
            counted = [door.metrics.tls_connections.cell(a, "connect") for a in ("allow", "block")]
            assert sum(cell.value for cell in counted) == 1

    run(scenario())


def test_whoever_says_a_line_and_waits_is_heard_at_once(run, policy):
    async def scenario():
        async with Server(echo=True) as server, running_gate(policy(server.port)) as door:
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}")
            for said in (
                b"\n",
                b"EHLO me\r\n",
                b"DATA\r\n",
                b"x" * 250 + b"\nSSH-",
                b"\nSSH-2.0-x",
            ):
                writer.write(said)
                async with asyncio.timeout(1):
                    assert await reader.readexactly(len(said)) == said
            writer.close()

    run(scenario())


def test_a_server_may_speak_first(run, policy):
    async def scenario():
        async with (
            Server(banner=b"220 mail\r\n", echo=True) as server,
            running_gate(policy(), peek_timeout_ms=100) as door,
        ):
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}")
            assert await reader.readline() == b"220 mail\r\n"
            await asyncio.sleep(0.3)  # longer than a client may take that has begun to speak
            writer.write(b"EHLO me\r\n")
            assert await reader.readline() == b"EHLO me\r\n"
            writer.close()

    run(scenario())


def test_the_first_word_is_judged_by_the_policy_of_its_time(run, policy):
    async def scenario():
        async with Server(banner=b"hi") as server, running_gate(policy()) as door:
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}")
            assert await reader.readexactly(2) == b"hi"
            before = door.policy.current
            door.policy.current = policy(server.port)
            writer.write(SSH)
            assert await reader.read() == b""
            (event,) = door.events
            assert event.rule == "no-ssh"
            assert event.policy == door.policy.current.policy.digest
            assert event.policy != before.policy.digest

    run(scenario())


def test_a_server_that_spoke_first_hears_nothing_that_is_blocked(run, policy):
    async def scenario():
        async with Server(banner=SSH) as server, running_gate(policy(server.port)) as door:
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}")
            assert await reader.readline() == SSH
            writer.write(SSH)
            assert await reader.read() == b""
            await server.ended.wait()
            assert not server.received
            assert door.events[-1].rule == "no-ssh"

    run(scenario())


def test_a_banner_of_any_size_waits_for_the_client(run, policy):
    async def scenario():
        banner = random.Random(1).randbytes(8_000_000)
        async with Server(banner=banner, echo=True) as server, running_gate(policy()) as door:
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}")
            await asyncio.sleep(0.2)
            assert door.metrics.spliced_bytes.cell("to_client").value < len(banner)
            assert await reader.readexactly(len(banner)) == banner
            writer.write(b"\0thanks")
            assert await reader.readexactly(7) == b"\0thanks"
            writer.close()

    run(scenario())


def test_a_slow_reader_stops_the_writer_and_loses_nothing(run, policy):
    async def scenario():
        sent = random.Random(2).randbytes(24_000_000)
        async with Server(echo=True) as server, running_gate(policy()) as door:
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}", b"\0")
            writer.write(sent)
            await asyncio.sleep(0.5)
            # The echo comes back to a client that does not read: it stops all the way round.
            assert len(server.received) < len(sent)
            received = await reader.readexactly(1 + len(sent))
            assert hashlib.sha256(received[1:]).digest() == hashlib.sha256(sent).digest()
            writer.close()

    run(scenario())


def test_a_half_close_is_passed_on_and_the_answer_still_comes(run, policy):
    async def scenario():
        async with Server(eof_reply=b"bye") as server, running_gate(policy()) as door:
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}", b"\0done")
            writer.write_eof()
            assert await reader.read() == b"bye"
            assert server.received == b"\0done"
            await until(lambda: door.gate.open_connections == 0)

    run(scenario())


def test_an_end_that_came_with_the_request_is_passed_on(run, policy):
    async def scenario():
        async with Server(eof_reply=b"bye") as server, running_gate(policy()) as door:
            reader, writer = await door.dial()
            writer.write(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n\0done" % server.port)
            writer.write_eof()
            assert (await reader.read()).endswith(b"\r\n\r\nbye")
            assert server.received == b"\0done"

    run(scenario())


class Flood:
    """A server that sends without end, to a client that may not read."""

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(1 << 20))
                await writer.drain()
        writer.close()


def sockets_to(port):
    """How many sockets of this process have ``port`` as their own."""
    count = 0
    for name in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name.name))) as held:
            count += held.getsockname()[1:2] == (port,)
    return count


@pytest.mark.parametrize("words", [b"", b"\x16\x03\x01\0\0"], ids=["half-closed", "refused"])
def test_a_client_that_never_reads_keeps_no_socket(run, policy, words):
    async def scenario():
        async with Flood() as server, running_gate(policy(), peek_timeout_ms=300) as door:
            with socket.socket() as client:
                client.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(client, tuple(door.explicit))
                connect = b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % server.port
                await loop.sock_sendall(client, connect)
                passed = door.metrics.spliced_bytes.cell("to_client")
                await until(lambda: passed.value > 1 << 18)
                await loop.sock_sendall(client, words)
                client.shutdown(socket.SHUT_WR)
                await until(lambda: door.gate.open_connections == 0)
                await until(lambda: sockets_to(door.explicit.port) == 1, 1)  # it listens

    run(scenario())


def test_a_slow_client_gets_what_was_written_before_the_end(run, policy):
    async def scenario():
        async with (
            Server(banner=bytes(3_000_000)) as server,
            running_gate(policy(), peek_timeout_ms=300) as door,
        ):
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}")
            passed = door.metrics.spliced_bytes.cell("to_client")
            await until(lambda: passed.value > 1 << 18)
            writer.write_eof()
            received = 0
            while data := await reader.read(1 << 17):
                received += len(data)
                await asyncio.sleep(0.02)
            assert received == passed.value

    run(scenario())


def test_a_server_that_closes_at_once_is_seen_by_the_client(run, policy):
    async def scenario():
        async def serve(reader, writer):
            writer.write(b"no")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with running_gate(policy()) as door:
            head, reader, writer = await door.connect(f"127.0.0.1:{port}")
            assert head.startswith("HTTP/1.1 200 ")
            assert await reader.read() == b"no"
            writer.close()
            await until(lambda: door.gate.open_connections == 0)
        server.close()

    run(scenario())


SOCKS_HELLO = b"\x05\x01\x00"


def socks_request(port, host=b"\x01\x7f\0\0\x01", command=1):
    return b"\x05%c\0%b%b" % (command, host, port.to_bytes(2, "big"))


def test_socks5_takes_names_and_addresses(run, policy):
    async def scenario():
        name = b"\x03%c%b" % (len(URL), URL.encode())
        async with (
            Server(echo=True) as server,
            running_gate(policy(server.port), {URL: ["127.0.0.1"]}) as door,
        ):
            for host in (name, b"\x01\x7f\0\0\x01", b"\x04" + b"\0" * 10 + b"\xff\xff\x7f\0\0\x01"):
                hello = client_hello(URL)
                reader, writer = await door.dial()
                writer.write(SOCKS_HELLO + socks_request(server.port, host) + hello)
                expected = b"\x05\0" + b"\x05\0\0\x01" + bytes(6) + hello
                assert await reader.readexactly(len(expected)) == expected
                writer.close()
            assert door.metrics.tls_connections.cell("allow", "socks5").value == 3

    run(scenario())


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (SOCKS_HELLO + socks_request(443, b"\x03\x17" + BLOCKED.encode()), "050005020001"),
        (SOCKS_HELLO + socks_request(443, command=2), "050005070001"),
        (SOCKS_HELLO + socks_request(443, b"\x09\0"), "050005080001"),
        (SOCKS_HELLO + socks_request(443, b"\x03\x01?"), "050005010001"),
        (SOCKS_HELLO + socks_request(443, b"\x03\x04none"), "050005040001"),
        (SOCKS_HELLO + socks_request(1), "050005050001"),
        (b"\x05\x01\x02", "05ff"),
        (b"\x04\x01\x01\xbb\x7f\0\0\x01\0", "005b000000000000"),
    ],
    ids=["denied", "bind", "kind", "not a name", "no name", "closed", "password", "socks4"],
)
def test_socks_says_why_not(run, policy, said, answer):
    async def scenario():
        async with running_gate(policy()) as door:
            reader, writer = await door.dial()
            writer.write(said)
            assert (await reader.read()).hex().startswith(answer)

    run(scenario())


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("127.0.0.1:1", "502 Bad Gateway\r\nProxy-Status: enforcer; error=connection_refused"),
        ("none.example.net:443", "502 Bad Gateway\r\nProxy-Status: enforcer; error=dns_error"),
        ("nonsense", "400 Bad Request\r\nProxy-Status: enforcer; error=http_request_error"),
        ("[::1", "400 Bad Request\r\nProxy-Status: enforcer; error=http_request_error"),
        ("a b:443", "400 Bad Request\r\nProxy-Status: enforcer; error=http_request_error"),
    ],
)
def test_connect_says_why_not(run, policy, target, error):
    async def scenario():
        async with running_gate(policy()) as door:
            head, _, _ = await door.connect(target)
            assert head.startswith(f"HTTP/1.1 {error}")

    run(scenario())


def test_the_gate_does_not_dial_its_own_door(run, policy):
    async def scenario():
        async with running_gate(policy()) as door:
            head, _, _ = await door.connect(f"127.0.0.1:{door.explicit.port}")
            assert "403 Forbidden" in head
            assert "error=destination_ip_prohibited" in head
            assert [(event.rule, event.action) for event in door.events] == [
                ("gateway-address", "block")
            ]

    run(scenario())


@pytest.mark.parametrize("target", ["127.0.0.2", "127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.3]"])
def test_no_address_of_the_host_leads_to_a_door_of_a_wildcard(run, policy, target):
    async def scenario():
        async with running_gate(policy(), host="0.0.0.0") as door:
            for own in (door.explicit, door.transparent):
                head, _, _ = await door.connect(f"{target}:{own.port}")
                assert "error=destination_ip_prohibited" in head
                assert (door.events[-1].rule, door.events[-1].port) == ("gateway-address", own.port)

    run(scenario())


def test_garbage_is_answered_at_once(run, policy):
    async def scenario():
        async with running_gate(policy()) as door:
            for garbage in (b"\x16\x03\x01\x02\0\x01", b"\0" * 10, b"HELO\r\n", b"G" * 70_000):
                reader, writer = await door.dial()
                writer.write(garbage)
                async with asyncio.timeout(2):
                    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            assert door.discarded("malformed_request") == 4

    run(scenario())


@pytest.mark.parametrize(
    "words",
    [
        b"\x16\x03\x01\0\0",
        # Servers written in Go read past a warning, and take any version.
        bytes.fromhex("15030100020164") + client_hello(BLOCKED),
        bytes.fromhex("15000000020164") + client_hello(BLOCKED),
        b"\x16\x02\x00" + client_hello(BLOCKED)[3:],
    ],
    ids=["empty", "warning", "odd warning", "odd version"],
)
def test_a_hello_that_is_none_ends_the_tunnel_by_an_alert(run, policy, words):
    async def scenario():
        async with Server() as server, running_gate(policy()) as door:
            _, reader, _ = await door.connect(f"127.0.0.1:{server.port}", words)
            assert await reader.read() == bytes.fromhex("15030300020232")
            await server.ended.wait()
            assert not server.received

    run(scenario())


@pytest.mark.parametrize(
    "beginning",
    [b"", b"CONN", b"\x05", b"\x05\x01\x00\x05"],
    ids=["nothing", "method", "greeting", "request"],
)
def test_a_client_that_stops_speaking_is_let_go(run, policy, beginning):
    async def scenario():
        async with running_gate(policy(), peek_timeout_ms=100) as door:
            reader, writer = await door.dial()
            writer.write(beginning)
            await reader.read()
            assert door.discarded("client_silent") == 1

    run(scenario())


def test_a_client_that_drips_is_let_go_in_the_same_time(run, policy):
    async def scenario():
        async with Server() as server, running_gate(policy(), peek_timeout_ms=300) as door:
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}")
            started = asyncio.get_running_loop().time()
            ended = asyncio.ensure_future(reader.read())
            for byte in client_hello("www.example.com"):
                if ended.done():
                    break
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.02)
            # A byte that is sent while the gate closes is answered with RST.
            with contextlib.suppress(ConnectionResetError):
                assert await ended == b""
            assert asyncio.get_running_loop().time() - started < 2
            assert door.discarded("client_silent") == 1
            assert not server.received
            writer.close()

    run(scenario())


def test_a_tunnel_in_which_nobody_speaks_ends_when_it_is_idle(run, policy):
    async def scenario():
        async with Server() as server, running_gate(policy(), idle_timeout_seconds=1) as door:
            _, reader, _ = await door.connect(f"127.0.0.1:{server.port}")
            assert await reader.read() == b""
            assert door.discarded("client_silent") == 1

    run(scenario())


def test_an_idle_splice_ends(run, policy):
    async def scenario():
        async with Server() as server, running_gate(policy(), idle_timeout_seconds=1) as door:
            _, reader, _ = await door.connect(f"127.0.0.1:{server.port}", b"\0")
            assert await reader.read() == b""
            await server.ended.wait()

    run(scenario())


def test_clients_that_vanish_at_any_byte_leave_nothing_behind(run, policy):
    """The harness checks tasks, connections and unseen exceptions at the end."""

    async def scenario():
        hello = client_hello(URL)
        async with (
            Server(banner=b"x") as server,
            running_gate(policy(server.port), {URL: ["127.0.0.1"]}) as door,
        ):
            connect = b"CONNECT %b:%d HTTP/1.1\r\n\r\n" % (URL.encode(), server.port)
            name = b"\x03%c%b" % (len(URL), URL.encode())
            socks = SOCKS_HELLO + socks_request(server.port, name)
            for said in (connect + hello, socks + hello, b"CONNECT a:0 HTTP/1.1\r\n\r\n" + hello):
                for length in [*range(0, 80, 3), len(said) - 1, len(said)]:
                    for end in (reset, lambda writer: writer.write_eof(), lambda w: w.close()):
                        _, writer = await door.dial()
                        writer.write(said[:length])
                        await asyncio.sleep(0)
                        end(writer)
                        writer.close()
            await until(lambda: door.gate.open_connections == 0)

    run(scenario())


def test_a_client_that_left_during_the_check_is_not_connected(run, policy):
    async def scenario():
        verifier = StubVerifier()
        verifier.gate = asyncio.Event()
        async with (
            Server() as server,
            running_gate(policy(server.port), {URL: ["127.0.0.1"]}, verifier) as door,
        ):
            _, writer = await door.dial()
            writer.write(b"CONNECT %b:%d HTTP/1.1\r\n\r\n" % (URL.encode(), server.port))
            await until(lambda: verifier.asked)
            reset(writer)
            await asyncio.sleep(0.05)
            verifier.gate.set()
            await until(lambda: door.gate.open_connections == 0)
            assert door.discarded("client_gone") == 1
            assert not server.received

    run(scenario())


def test_plain_http_is_handed_over_whole(run, policy):
    async def scenario():
        async with running_gate(policy()) as door:
            request = b"GET http://crl.ngrok-agent.com/ngrok.crl HTTP/1.1\r\n"
            reader, writer = await door.dial()
            writer.write(request)
            await reader.read()
            assert door.handed_over == [request]

    run(scenario())


def test_whoever_dials_the_transparent_door_is_told_and_judged(run, policy):
    async def scenario():
        async with running_gate(policy()) as door:
            for name, alert in (
                (BLOCKED, ALERT_UNRECOGNIZED_NAME),
                (URL, ALERT_ACCESS_DENIED),
                (None, ALERT_ACCESS_DENIED),
            ):
                reader, writer = await door.dial(door.transparent)
                writer.write(client_hello(name))
                assert await reader.read() == alert
            assert door.discarded("not_redirected") == 2
            assert door.metrics.tls_connections.cell("block", "tls").value == 1

    run(scenario())


def test_monitor_mode_lets_pass_and_says_what_it_would_have_done(run, policy):
    async def scenario():
        async with (
            Server() as server,
            running_gate(
                policy(server.port, "monitor"), {BLOCKED: ["127.0.0.1"]}, StubVerifier(REFUSED)
            ) as door,
        ):
            hello = client_hello(URL)
            _, _, writer = await door.connect(f"{BLOCKED}:{server.port}", hello)
            await until(lambda: server.received == hello)
            writer.close()
            assert {(event.name, event.action) for event in door.events} == {
                (BLOCKED, "monitor"),
                (URL, "monitor"),
            }

    run(scenario())


def test_past_the_limit_connections_are_refused_and_counted(run, policy):
    async def scenario():
        async with running_gate(policy(), max_connections=1) as door:
            _, first = await door.dial()
            await until(lambda: door.gate.open_connections == 1)
            reader, _ = await door.dial()
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            assert door.discarded("too_many_connections") == 1
            first.close()
            await until(lambda: door.gate.open_connections == 0)

    run(scenario())


def test_drain_lets_open_connections_end_and_takes_no_new_ones(run, policy):
    async def scenario():
        async with Server(echo=True) as server, running_gate(policy()) as door:
            _, reader, writer = await door.connect(f"127.0.0.1:{server.port}", b"\0")
            await reader.readexactly(1)
            draining = asyncio.ensure_future(door.gate.drain(20))
            await asyncio.sleep(0.05)
            with pytest.raises(OSError, match=r"(?i)connect"):
                await door.dial()
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"
            writer.close()
            await draining

    run(scenario())


def test_drain_ends_what_does_not_end_in_time(run, policy):
    async def scenario():
        async with Server() as server, running_gate(policy()) as door:
            _, reader, _ = await door.connect(f"127.0.0.1:{server.port}", b"\0")
            _, held, _ = await door.connect(f"127.0.0.1:{server.port}")
            await door.gate.drain(0.05)
            assert door.gate.open_connections == 0
            assert await reader.read() == b""
            assert await held.read() == b""

    run(scenario())


def test_a_fault_of_our_own_is_counted_each_time_and_logged_once(run, policy, caplog):
    async def scenario():
        async def broken(name, client):
            raise LookupError(name)

        async with running_gate(policy(), resolve=broken) as door:
            for _ in range(5):
                reader, writer = await door.dial()
                writer.write(b"CONNECT www.example.com:443 HTTP/1.1\r\n\r\n")
                assert await reader.read() == b""
            assert door.discarded("internal_error") == 5

    with caplog.at_level(logging.ERROR, "enforcer"):
        run(scenario())
    assert len([record for record in caplog.records if record.exc_info]) == 1
