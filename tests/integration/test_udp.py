"""Questions by UDP on both event loops: the quick road, the general one, and who is on which."""

import asyncio
import contextlib
import socket
import struct
from ipaddress import ip_address

import dns.message
import dns.rcode
import pytest
from unit.dns.desk import Desk, packet_of

from enforcer.dns.serving.access import Access
from enforcer.dns.serving.datagrams import BATCH
from enforcer.dns.serving.proxy_header import SIGNATURE
from enforcer.dns.serving.rate import RateLimit
from enforcer.dns.serving.sockets import bind_socket
from enforcer.dns.serving.udp import UdpListener
from enforcer.policy.addresses import parse_network
from enforcer.settings.endpoint import Endpoint

POLICY = """
version: 1
default: allow
rules:
  - {id: gone, action: block, match: {names: [gone.example]}}
  - {id: guests, action: block, match: {names: [www.example], clients: [10.9.0.0/16]}}
  - {id: silent, action: block, refusal: drop, match: {names: [silent.example]}}
"""
UPSTREAM = "www.example. 300 A 192.0.2.80"
LOCAL = Access([parse_network("127.0.0.0/8")])


class Entrance:
    """A listener whose general road is a responder without a server around it."""

    def __init__(self, policy, host="127.0.0.1", *, rate=None, proxies=None):
        self.desk = Desk(policy, UPSTREAM)
        self.handed = []
        self.bad_headers = 0
        self.late = []
        self.hold = False
        bound = bind_socket(Endpoint(host, 0), socket.SOCK_DGRAM)
        self.port = bound.getsockname()[1]
        self.listener = UdpListener(
            bound,
            self.desk.responder.quick,
            self.take,
            lambda: self.desk.now_s,
            rate=rate,
            proxies=proxies or Access(()),
            discard_header=self._discard_header,
        )

    def take(self, packet, asker, send, *, rated):
        self.handed.append((packet, asker, rated))
        if self.hold:
            self.late.append(send)
        else:
            send(self.desk.settle(self.desk.responder.answer(packet, asker, self.desk.now_s)))

    def _discard_header(self):
        self.bad_headers += 1

    def client(self, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        client = socket.socket(family, socket.SOCK_DGRAM)
        client.setblocking(False)
        client.connect((host, self.port))
        return client


@contextlib.contextmanager
def open_entrance(*arguments, **options):
    entrance = Entrance(*arguments, **options)
    try:
        yield entrance
    finally:
        entrance.listener.close()


async def ask(client, *packets):
    """The answers in the order in which they come."""
    loop = asyncio.get_running_loop()
    for packet in packets:
        await loop.sock_sendall(client, packet)
    async with asyncio.timeout(5):
        return [await loop.sock_recv(client, 4096) for _ in packets]


async def silence(client):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await asyncio.get_running_loop().sock_recv(client, 4096)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_second_question_goes_the_quick_way(run, policy_from, host):
    async def scenario():
        with open_entrance(policy_from(POLICY), host) as entrance, entrance.client(host) as client:
            first = await ask(client, packet_of("gone.example", id=1))
            again = await ask(client, packet_of("gone.example", id=2))
            assert first[0][2:] == again[0][2:]
            assert again[0][:2] == b"\0\2"
            assert len(entrance.handed) == 1
            assert entrance.handed[0][1].client == ip_address(host)

    run(scenario())


@pytest.mark.parametrize(("wildcard", "host"), [("0.0.0.0", "127.0.0.2"), ("::", "::1")])
def test_a_wildcard_answers_from_the_address_that_was_asked(run, policy_from, wildcard, host):
    async def scenario():
        policy = policy_from(POLICY)
        with open_entrance(policy, wildcard) as entrance, entrance.client(host) as client:
            for _ in range(3):
                assert await ask(client, packet_of("gone.example"))
            assert len(entrance.handed) == 1

    run(scenario())


def test_more_than_is_taken_at_once_is_answered_all_the_same(run, policy_from):
    async def scenario():
        with open_entrance(policy_from(POLICY)) as entrance, entrance.client() as client:
            await ask(client, packet_of("gone.example"))
            count = 3 * BATCH
            packets = [packet_of("gone.example", id=number) for number in range(count)]
            answers = await ask(client, *packets)
            assert [answer[:2] for answer in answers] == [packet[:2] for packet in packets]
            assert len(entrance.handed) == 1

    run(scenario())


def test_a_reload_is_in_force_with_the_next_datagram(run, policy_from):
    async def scenario():
        with open_entrance(policy_from(POLICY)) as entrance, entrance.client() as client:
            for _ in range(3):
                (answer,) = await ask(client, packet_of("www.example"))
                assert dns.message.from_wire(answer).answer
            assert len(entrance.handed) == 2
            entrance.desk.policy.current = policy_from(
                POLICY.replace("names: [gone.example]", "names: [gone.example, www.example]")
            )
            for _ in range(3):
                (answer,) = await ask(client, packet_of("www.example"))
                assert dns.message.from_wire(answer).rcode() == dns.rcode.NXDOMAIN
            assert len(entrance.handed) == 3

    run(scenario())


def test_garbage_between_questions_harms_none(run, policy_from):
    async def scenario():
        with open_entrance(policy_from(POLICY)) as entrance, entrance.client() as client:
            loop = asyncio.get_running_loop()
            question = packet_of("gone.example")
            answers = await ask(client, question)
            for garbage in (
                b"",
                b"\0",
                b"\0" * 11,
                b"\xff" * 600,
                b"\1" * 5000,
                question[:-1] * 80,
            ):
                await loop.sock_sendall(client, garbage)
                answers += await ask(client, question)
            assert dns.message.from_wire(answers[-1]).rcode() == dns.rcode.NXDOMAIN

    run(scenario())


def test_what_is_dropped_is_not_answered(run, policy_from):
    async def scenario():
        with open_entrance(policy_from(POLICY)) as entrance, entrance.client() as client:
            for _ in range(2):
                await asyncio.get_running_loop().sock_sendall(client, packet_of("silent.example"))
                await silence(client)
            assert len(entrance.handed) == 2

    run(scenario())


def test_the_rate_is_counted_once_on_either_road(run, policy_from):
    async def scenario():
        rate = RateLimit(2)
        with open_entrance(policy_from(POLICY), rate=rate) as entrance, entrance.client() as client:
            await ask(client, *[packet_of("gone.example")] * 4)
            assert [rated for *_, rated in entrance.handed] == [True]
            await ask(client, packet_of("gone.example"))
            assert [rated for *_, rated in entrance.handed] == [True, False], "over it"

    run(scenario())


def proxied(client):
    packed = ip_address(client).packed * 2 + struct.pack("!2H", 5300, 53)
    return SIGNATURE + struct.pack("!2BH", 0x21, 0x11, len(packed)) + packed


def test_a_proxy_asks_for_others_on_the_quick_road_too(run, policy_from):
    async def scenario():
        policy = policy_from(POLICY)
        with open_entrance(policy, proxies=LOCAL) as entrance, entrance.client() as client:
            for _ in range(3):
                for guest, rcode in (("10.9.0.1", dns.rcode.NXDOMAIN), ("10.8.0.1", 0)):
                    packet = proxied(guest) + packet_of("www.example")
                    (answer,) = await ask(client, packet)
                    assert dns.message.from_wire(answer).rcode() == rcode
            assert [str(asker.client) for _, asker, _ in entrance.handed] == [
                *("10.9.0.1", "10.8.0.1", "10.8.0.1"),
            ]
            events = entrance.desk.events + entrance.desk.responder.quick.drain()
            assert {event.client for event in events} == {"10.9.0.1"}
            assert sum(event.occurrences for event in events) == 3

    run(scenario())


def test_a_proxy_without_a_header_is_left_alone(run, policy_from):
    async def scenario():
        policy = policy_from(POLICY)
        with open_entrance(policy, proxies=LOCAL) as entrance, entrance.client() as client:
            local = SIGNATURE + struct.pack("!2BH", 0x20, 0, 0) + packet_of("gone.example")
            assert await ask(client, local), "the proxy itself"
            await asyncio.get_running_loop().sock_sendall(client, packet_of("gone.example"))
            await silence(client)
            assert entrance.bad_headers == 1

    run(scenario())


def test_what_is_answered_after_the_end_is_not_sent(run, policy_from):
    async def scenario():
        with open_entrance(policy_from(POLICY)) as entrance, entrance.client() as client:
            entrance.hold = True
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, packet_of("www.example"))
            while not entrance.late:  # noqa: ASYNC110 it has no event
                await asyncio.sleep(0.01)
            entrance.listener.close()
            entrance.listener.close()
            entrance.late[0](b"too late")
            with pytest.raises(ConnectionRefusedError):
                await ask(client, packet_of("www.example"))

    run(scenario())
