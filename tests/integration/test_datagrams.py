"""Batches of datagrams on loopback: each is answered, from where it was sent to, or left alone."""

import asyncio
import contextlib
import selectors
import socket
import struct

import pytest

from enforcer.dns.serving.datagrams import (
    BATCH,
    MAX_ANSWER_BYTES,
    MAX_QUERY_BYTES,
    Datagrams,
    ReturnPath,
)
from enforcer.dns.serving.sockets import bind_socket
from enforcer.policy.addresses import parse_address
from enforcer.settings.endpoint import Endpoint

LOOPBACK = ["127.0.0.1", "::1"]


def no_answer(_packet, _client):
    return None


def echo(packet, _client):
    return packet[::-1]


def leave(_packet, _client, _path):
    pytest.fail("this one is not handed on")


@contextlib.contextmanager
def bound(host, **options):
    datagrams = Datagrams(bind_socket(Endpoint(host, 0), socket.SOCK_DGRAM), **options)
    try:
        yield datagrams
    finally:
        datagrams.close()


@contextlib.contextmanager
def client_of(datagrams, host, *, here=None):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        if here:
            client.bind((here, 0))
        client.connect((host, datagrams.sock.getsockname()[1]))
        yield client


def until_readable(datagrams):
    with selectors.DefaultSelector() as selector:
        selector.register(datagrams.sock, selectors.EVENT_READ)
        assert selector.select(timeout=2)


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_datagram_is_answered_at_once(host):
    with bound(host) as datagrams, client_of(datagrams, host) as client:
        seen = []

        def quick(packet, packed):
            seen.append(parse_address(socket.inet_ntop(datagrams.sock.family, packed)))
            return packet + b"!"

        client.send(b"question")
        until_readable(datagrams)
        assert datagrams.take(quick, leave) == 1
        assert client.recv(100) == b"question!"
        assert seen == [parse_address(host)]


@pytest.mark.parametrize("host", LOOPBACK)
def test_what_is_handed_on_is_answered_later(host):
    with bound(host) as datagrams, client_of(datagrams, host) as client:
        waiting = []
        client.send(b"question")
        until_readable(datagrams)
        datagrams.take(no_answer, lambda *handed: waiting.append(handed))
        ((packet, address, path),) = waiting
        assert (packet, address) == (b"question", parse_address(host).packed)
        datagrams.send(b"late", path)
        assert client.recv(100) == b"late"


@pytest.mark.parametrize(
    ("wildcard", "host"),
    [("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("::", "::1")],
)
def test_the_answer_comes_from_the_address_that_was_asked(wildcard, host):
    """A connected client takes answers from no other."""
    with bound(wildcard) as datagrams, client_of(datagrams, host) as client:
        waiting = []
        client.send(b"now")
        until_readable(datagrams)
        datagrams.take(echo, leave)
        assert client.recv(100) == b"won"
        client.send(b"later")
        until_readable(datagrams)
        datagrams.take(no_answer, lambda *handed: waiting.append(handed))
        datagrams.send(b"answer", waiting[0][2])
        assert client.recv(100) == b"answer"


@pytest.mark.parametrize(("wildcard", "host"), [("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_the_routes_choose_the_interface_of_an_answer(wildcard, host):
    """It came in by lo, which would be the way back if the kernel were told so."""
    lo = socket.if_nametoindex("lo").to_bytes(4, "little")
    with bound(wildcard) as datagrams, client_of(datagrams, host) as client:
        waiting = []
        client.send(b"question")
        until_readable(datagrams)
        datagrams.take(no_answer, lambda *handed: waiting.append(handed))
        level_and_type, info = waiting[0][2].control[8:16], waiting[0][2].control[16:]
        assert struct.unpack("=2i", level_and_type) in ((0, 8), (41, 50))
        assert lo not in (info[:4], info[16:20])
        assert socket.inet_pton(client.family, host) in info


def test_more_than_a_batch_is_taken_in_several():
    with bound("127.0.0.1") as datagrams, client_of(datagrams, "127.0.0.1") as client:
        count = 2 * BATCH + 3
        for number in range(count):
            client.send(number.to_bytes(2, "big") + b"x" * (number % 40))
        until_readable(datagrams)
        taken = [datagrams.take(echo, leave) for _ in range(4)]
        assert taken == [BATCH, BATCH, 3, 0]
        answers = [client.recv(100) for _ in range(count)]
        assert answers == [
            (number.to_bytes(2, "big") + b"x" * (number % 40))[::-1] for number in range(count)
        ]


def test_each_of_a_batch_gets_its_own_answer():
    with bound("127.0.0.1") as datagrams, contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(client_of(datagrams, "127.0.0.1", here=f"127.0.0.{number}"))
            for number in range(1, 31)
        ]
        for number, client in enumerate(clients):
            client.send(bytes((number,)))
        until_readable(datagrams)
        waiting = []

        def every_other(packet, client):
            return packet + client if packet[0] % 2 else None

        datagrams.take(every_other, lambda *handed: waiting.append(handed))
        for packet, address, path in reversed(waiting):
            datagrams.send(packet + address + b"late", path)
        for number, client in enumerate(clients):
            own = bytes((number, 127, 0, 0, number + 1))
            assert client.recv(100) == own + (b"" if number % 2 else b"late")


def test_a_datagram_that_is_too_long_to_be_a_query_is_cut_off():
    with bound("127.0.0.1") as datagrams, client_of(datagrams, "127.0.0.1") as client:
        seen = []

        def quick(packet, _client):
            seen.append(packet)
            return b"ok"

        client.send(b"a" * (MAX_QUERY_BYTES + 500))
        client.send(b"b" * MAX_QUERY_BYTES)
        client.send(b"c")
        until_readable(datagrams)
        assert datagrams.take(quick, leave) == 3
        assert seen == [b"a" * MAX_QUERY_BYTES, b"b" * MAX_QUERY_BYTES, b"c"]


def test_an_empty_datagram_is_one_like_any_other():
    with bound("127.0.0.1") as datagrams, client_of(datagrams, "127.0.0.1") as client:
        handed = []
        client.send(b"")
        client.send(b"after")
        until_readable(datagrams)
        assert datagrams.take(no_answer, lambda packet, *_: handed.append(packet)) == 2
        assert handed == [b"", b"after"]


def test_the_largest_answer_goes_out_whole_both_ways():
    largest = bytes(range(256)) * (MAX_ANSWER_BYTES // 256)
    with bound("127.0.0.1") as datagrams, client_of(datagrams, "127.0.0.1") as client:
        paths = []
        client.send(b"1")
        client.send(b"2")
        until_readable(datagrams)
        datagrams.take(
            lambda packet, _: largest if packet == b"1" else None,
            lambda _packet, _client, path: paths.append(path),
        )
        datagrams.send(largest, paths[0])
        assert [client.recv(4096) for _ in range(2)] == [largest] * 2


def test_a_longer_answer_is_a_mistake_that_moves_no_memory():
    with bound("127.0.0.1") as datagrams, client_of(datagrams, "127.0.0.1") as client:
        paths = []
        client.send(b"1")
        until_readable(datagrams)
        datagrams.take(no_answer, lambda _packet, _client, path: paths.append(path))
        with pytest.raises(BufferError):
            datagrams.send(b"x" * (MAX_ANSWER_BYTES + 1), paths[0])
        client.send(b"3")
        until_readable(datagrams)
        datagrams.take(echo, leave)
        assert client.recv(100) == b"3"


def test_what_cannot_be_sent_is_left_out_and_the_others_go():
    """Port 0, as only a forged packet has: the kernel refuses to send there."""
    with bound("127.0.0.1") as datagrams, client_of(datagrams, "127.0.0.1") as client:
        for number in range(5):
            client.send(bytes((number,)))
        until_readable(datagrams)

        def spoil_the_middle(packet, _client):
            if packet[0] in (0, 2, 4):
                at = packet[0] * 32
                datagrams._in.names[at + 2 : at + 4] = b"\0\0"
            return packet

        datagrams.take(spoil_the_middle, leave)
        assert [client.recv(100) for _ in range(2)] == [b"\1", b"\3"]


def test_nobody_at_port_0_is_handed_on():
    with bound("127.0.0.1") as datagrams, client_of(datagrams, "127.0.0.1") as client:
        client.send(b"\0")
        until_readable(datagrams)

        def spoil(_packet, _client):
            datagrams._in.names[2:4] = b"\0\0"

        assert datagrams.take(spoil, leave) == 1


def test_an_answer_for_nowhere_is_lost_without_a_word():
    with bound("127.0.0.1") as datagrams, client_of(datagrams, "127.0.0.1") as client:
        nowhere = struct.pack("=H", socket.AF_INET) + bytes(30)
        datagrams.send(b"answer", ReturnPath(nowhere, b""))
        client.send(b"ok")
        until_readable(datagrams)
        datagrams.take(echo, leave)
        assert client.recv(100) == b"ko"


def test_an_idle_socket_gives_nothing():
    with bound("127.0.0.1") as datagrams:
        assert datagrams.take(echo, leave) == 0


@pytest.mark.parametrize("host", LOOPBACK)
def test_both_loops_read_it(run, host):
    async def scenario():
        loop = asyncio.get_running_loop()
        with bound(host) as datagrams, client_of(datagrams, host) as client:
            client.setblocking(False)
            loop.add_reader(datagrams.sock, datagrams.take, echo, leave)
            for number in range(20):
                await loop.sock_sendall(client, bytes((number, 0)))
                assert await loop.sock_recv(client, 10) == bytes((0, number))
            loop.remove_reader(datagrams.sock)

    run(scenario())
