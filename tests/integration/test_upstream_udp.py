"""UDP upstreams that answer, lie, strip case, or are not there; each on both event loops."""

import asyncio
import socket

import pytest
from integration.upstream_servers import (
    EDNS,
    HOST,
    Client,
    UdpServer,
    is_answer,
    nobody,
    query,
    question_of,
    right,
    stream_server,
    udp_server,
)

from enforcer.dns.upstream.link import LinkOptions
from enforcer.dns.upstream.udp import QUERIES_PER_SOCKET, SOCKETS
from enforcer.settings.upstream import Upstream


def honest(packet):
    return [right(packet)]


def test_the_client_gets_the_answer_in_its_own_letters(run):
    async def scenario():
        async with udp_server(honest) as server, Client(server.upstream) as client:
            asked = query("WWW.Example")._replace(name=b"\3www\7example\0")
            assert is_answer(await client.forwarder.ask(asked), asked)
            assert client.ended("answered") == 1

    run(scenario())


def test_ids_ports_and_letters_are_random(run):
    async def scenario():
        async with udp_server(honest) as server, Client(server.upstream) as client:
            for number in range(200):
                assert await client.ask(f"a-name-of-many-letters-{number}")
            assert len({packet[:2] for packet in server.queries}) > 190
            assert len(set(server.ports)) >= SOCKETS
            spelled = [question_of(packet)[:23] for packet in server.queries]
            assert len(set(spelled)) > 190

    run(scenario())


def test_a_port_is_given_up_after_some_queries(run):
    async def scenario():
        async with udp_server(honest) as server, Client(server.upstream) as client:
            count = SOCKETS * QUERIES_PER_SOCKET // 2
            for start in range(0, count, 50):
                names = [f"n{number}" for number in range(start, start + 50)]
                await asyncio.gather(*map(client.ask, names))
            most = max(server.ports.count(port) for port in set(server.ports))
            assert most <= QUERIES_PER_SOCKET + 1

    run(scenario())


def lies(packet):
    """What is no reply to the query: each kind twice."""
    question = question_of(packet)
    other_id = bytes((packet[0] ^ 1,)) + right(packet)[1:]
    other_name = right(packet).replace(question, question[:1] + b"#" + question[2:])
    other_type = right(packet).replace(question, question[:-4] + b"\0\x1c\0\1")
    query_again = packet
    oversize = right(packet) + b"\0" * 1400
    return [other_id, other_name, other_type, query_again, b"\0", oversize] * 2


def test_lies_are_ignored_and_counted_and_the_waiting_goes_on(run):
    async def scenario():
        options = LinkOptions(cookies=False)
        async with (
            udp_server(lambda packet: [*lies(packet), right(packet)]) as server,
            Client(server.upstream, options=options) as client,
        ):
            assert is_answer(await client.ask(), query())
            assert client.ignored() == {
                "other_id": 2,
                "other_question": 4,
                "malformed": 4,
                "oversize": 2,
            }
            assert client.ended("answered") == 1

    run(scenario())


def test_only_lies_are_no_answer_and_end_in_time(run):
    async def scenario():
        async with (
            udp_server(lies) as server,
            Client(server.upstream, timeout_s=0.1, total_timeout_s=0.3) as client,
        ):
            async with asyncio.timeout(1):
                assert await client.ask() is None
            assert client.ended("timeout") == 2

    run(scenario())


@pytest.mark.parametrize("host", [HOST, "127.0.0.2"])
def test_a_reply_from_another_port_or_address_is_ignored_and_counted(run, host):
    async def scenario():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.bind((host, 0))

            def forge(packet):
                forger.sendto(right(packet), (HOST, server.ports[-1]))
                return []

            async with (
                udp_server(forge) as server,
                Client(server.upstream, timeout_s=0.1, total_timeout_s=0.2) as client,
            ):
                assert await client.ask() is None
                assert client.ignored() == {"other_address": 2}

    run(scenario())


def test_a_cookie_of_somebody_else_is_ignored_and_counted(run):
    def other_cookie(packet):
        opt = b"\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\x08notyours"
        return [right(packet)[:11] + b"\1" + right(packet)[12:] + opt]

    async def scenario():
        async with (
            udp_server(other_cookie) as server,
            Client(server.upstream, timeout_s=0.1, total_timeout_s=0.2) as client,
        ):
            assert await client.ask() is None
            assert client.ignored() == {"other_cookie": 2}

    run(scenario())


def test_an_upstream_that_strips_case_is_asked_over_tcp_and_remembered(run):
    def strip(packet):
        question = question_of(packet)
        lower = question[:-4].lower() + question[-4:]
        return [right(packet).replace(question, lower)]

    async def scenario():
        async with udp_server(strip) as server:
            port = server.upstream.port
            async with stream_server(port=port) as stream, Client(server.upstream) as client:
                names = [f"many-letters-in-this-name-{number}" for number in range(5)]
                for name in names:
                    assert is_answer(await client.ask(name), query(name))
                assert client.ignored() == {"other_case": 2}
                assert len(server.queries) == 2
                assert (len(stream.queries), stream.connections) == (5, 1)

    run(scenario())


def test_case_is_left_alone_where_the_settings_say_so(run):
    async def scenario():
        options = LinkOptions(randomise_case=False, cookies=False)
        async with (
            udp_server(honest) as server,
            Client(server.upstream, options=options) as client,
        ):
            await client.ask("many-letters-in-this-name")
            assert question_of(server.queries[0]) == query("many-letters-in-this-name").question

    run(scenario())


def test_what_does_not_fit_comes_over_tcp(run):
    async def scenario():
        async with udp_server(lambda packet: [right(packet, 0x8380, 0)]) as server:
            port = server.upstream.port
            async with stream_server(port=port) as stream, Client(server.upstream) as client:
                assert is_answer(await client.ask(), query())
                assert len(stream.queries) == 1

    run(scenario())


@pytest.mark.parametrize("count", [1, 20, 500])
def test_an_upstream_that_is_not_there_is_known_at_once(run, count):
    async def scenario():
        async with Client(nobody(), timeout_s=10, total_timeout_s=20) as client:
            names = [f"n{number}.example" for number in range(count)]
            async with asyncio.timeout(6):  # far below the time that silence takes
                assert await asyncio.gather(*map(client.ask, names)) == [None] * count
            assert client.ended("unreachable") == 2 * count

    run(scenario())


def test_an_upstream_behind_an_interface_that_does_not_exist_is_unreachable(run):
    async def scenario():
        async with Client(Upstream("fe80::1%nowhere")) as client:
            assert await client.ask() is None
            assert client.ended("unreachable") == 2

    run(scenario())


def test_an_upstream_by_ipv6_is_asked(run):
    async def scenario():
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(
            lambda: UdpServer(honest), local_addr=("::1", 0)
        )
        async with Client(Upstream(*transport.get_extra_info("sockname")[:2])) as client:
            assert is_answer(await client.ask(), query())
        assert len(server.queries) == 1
        transport.close()

    run(scenario())


def test_another_answers_for_one_that_is_not_there(run):
    async def scenario():
        async with (
            udp_server(honest) as server,
            Client(nobody(), server.upstream, timeout_s=10, total_timeout_s=20) as client,
        ):
            async with asyncio.timeout(2):
                for number in range(20):
                    assert await client.ask(f"n{number}.example")
            # It is left alone, but for a trial now and then.
            assert client.ended("unreachable") <= 2

    run(scenario())


def test_the_faster_one_gets_nearly_all(run):
    async def scenario():
        loop = asyncio.get_running_loop()

        def later(packet):
            port = slow.ports[-1]
            loop.call_later(0.05, slow.transport.sendto, right(packet), (HOST, port))
            return []

        async with (
            udp_server(later) as slow,
            udp_server(honest) as fast,
            Client(slow.upstream, fast.upstream) as client,
        ):
            for number in range(150):
                assert await client.ask(f"n{number}.example")
                await asyncio.sleep(0.002)
            assert len(fast.queries) > 140
            assert len(slow.queries) < 60

    run(scenario())


@pytest.mark.parametrize(("edns", "has_opt"), [(None, False), (EDNS, True)])
def test_a_client_without_edns_gets_no_opt(run, edns, has_opt):
    def with_opt(packet):
        assert packet[11] == 1  # our cookie stands in one
        cookie = packet[-12:]
        opt = b"\0\0\x29\4\xd0\0\0\0\0" + len(cookie).to_bytes(2, "big") + cookie
        return [right(packet)[:11] + b"\1" + right(packet)[12:] + opt]

    async def scenario():
        async with udp_server(with_opt) as server, Client(server.upstream) as client:
            reply = await client.ask(edns=edns)
            assert (reply[11] == 1) == has_opt
            assert reply.endswith(b"\0\0\x29\4\xd0\0\0\0\0\0\0") == has_opt

    run(scenario())


def test_closing_leaves_nobody_waiting_and_no_socket(run):
    async def scenario():
        async with udp_server(lambda packet: []) as server:
            async with Client(server.upstream) as client:
                waiting = asyncio.ensure_future(client.ask())
                await asyncio.sleep(0.05)
            assert await waiting is None

    run(scenario())
