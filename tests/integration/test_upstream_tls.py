"""DNS over TLS and over HTTPS: only who proves the name is asked, and connections are kept."""

import asyncio
import logging
import ssl

import pki
import pytest
from integration.upstream_servers import (
    Client,
    https_server,
    is_answer,
    query,
    respond_with_message,
    right,
    server_context,
    stream_server,
)

from enforcer.dns.upstream.link import LinkOptions
from enforcer.settings.upstream import Transport

NAME = "dns.example"


@pytest.fixture
def trusted(tmp_path):
    """The settings that trust the test's root."""
    path = tmp_path / "roots.pem"
    path.write_bytes(pki.letsencrypt_like().root_pem)
    return {"options": LinkOptions(ca_file=path)}


@pytest.fixture
def tls(tmp_path):
    return server_context(pki.letsencrypt_like().leaf(NAME), tmp_path)


def test_a_server_that_proves_its_name_is_asked_on_one_connection(run, tls, trusted):
    async def scenario():
        async with (
            stream_server(tls=tls, name=NAME) as server,
            Client(server.upstream, **trusted) as client,
        ):
            names = [f"n{number}.example" for number in range(20)]
            replies = await asyncio.gather(*map(client.ask, names))
            for name, reply in zip(names, replies, strict=True):
                assert is_answer(reply, query(name))
            assert server.connections == 1

    run(scenario())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_taken_up_again_on_the_next_connection(run, tls, trusted, version):
    tls.minimum_version = tls.maximum_version = version

    async def scenario():
        async with (
            stream_server(tls=tls, name=NAME) as server,
            Client(server.upstream, **trusted) as client,
        ):
            for number in range(3):
                assert await client.ask(f"n{number}.example")
                server.drop_all()
                await asyncio.sleep(0.02)
            assert (server.connections, server.resumed) == (3, 2)

    run(scenario())


def test_another_name_is_not_trusted(run, tls, trusted, caplog):
    caplog.set_level(logging.WARNING)

    async def scenario():
        async with (
            stream_server(tls=tls, name="other.example") as server,
            Client(server.upstream, **trusted) as client,
        ):
            assert await client.ask() is None
            assert server.queries == []
            assert client.ended("untrusted") == 2
            assert await client.ask() is None
            # Once, however often it is asked.
            [line] = caplog.messages
            assert "is not trusted: " in line
            assert "other.example" in line

    run(scenario())


def test_a_root_that_the_system_does_not_have_is_not_trusted(run, tls):
    async def scenario():
        async with stream_server(tls=tls, name=NAME) as server, Client(server.upstream) as client:
            assert await client.ask() is None
            assert server.queries == []
            assert client.ended("untrusted") == 2

    run(scenario())


def test_who_does_not_speak_tls_is_not_asked(run, trusted):
    async def scenario():
        async with stream_server() as server:
            upstream = server.upstream._replace(transport=Transport.TLS, name=NAME)
            async with Client(upstream, **trusted, timeout_s=0.3, total_timeout_s=1) as client:
                assert await client.ask() is None
                assert server.queries == []

    run(scenario())


def test_over_https_queries_share_a_connection(run, tls, trusted):
    async def scenario():
        async with (
            https_server(tls, NAME) as server,
            Client(server.upstream, **trusted) as client,
        ):
            names = [f"n{number}.example" for number in range(20)]
            replies = await asyncio.gather(*map(client.ask, names))
            for name, reply in zip(names, replies, strict=True):
                assert is_answer(reply, query(name))
            assert server.connections == 1
            assert {request[b":authority"] for request in server.requests} == {NAME.encode()}

    run(scenario())


def test_a_server_that_allows_few_streams_is_not_asked_for_more(run, tls, trusted):
    most = 0

    def count(conn, stream, packet):
        nonlocal most
        most = max(most, conn.open_inbound_streams)
        respond_with_message(conn, stream, packet)

    async def scenario():
        async with (
            https_server(tls, NAME, count, max_streams=3) as server,
            Client(server.upstream, **trusted) as client,
        ):
            assert await client.ask("first.example")
            names = [f"n{number}.example" for number in range(50)]
            assert all(await asyncio.gather(*map(client.ask, names)))
            assert server.connections == 1

    run(scenario())
    assert 1 <= most <= 3


def test_a_server_that_ends_its_connection_is_asked_on_another(run, tls, trusted):
    def answer_and_end(conn, stream, packet):
        respond_with_message(conn, stream, packet)
        conn.close_connection(last_stream_id=stream)

    async def scenario():
        async with (
            https_server(tls, NAME, answer_and_end) as server,
            Client(server.upstream, **trusted) as client,
        ):
            for number in range(3):
                assert await client.ask(f"n{number}.example")
            assert server.connections == 3

    run(scenario())


def test_a_server_that_answers_with_a_page_is_no_upstream(run, tls, trusted):
    def say(conn, stream, packet):
        conn.send_headers(stream, [(":status", "404"), ("content-type", "text/html")])
        conn.send_data(stream, b"<html>", end_stream=True)

    async def scenario():
        async with (
            https_server(tls, NAME, say) as server,
            Client(server.upstream, **trusted) as client,
        ):
            assert await client.ask() is None
            assert client.ended("malformed") == 2

    run(scenario())


def test_a_reply_to_something_else_is_ignored_over_https_too(run, tls, trusted):
    def lie(conn, stream, packet):
        conn.send_headers(stream, [(":status", "200"), ("content-type", "application/dns-message")])
        other = right(packet).replace(b"example", b"exampld")
        conn.send_data(stream, other, end_stream=True)

    async def scenario():
        async with (
            https_server(tls, NAME, lie) as server,
            Client(server.upstream, **trusted, timeout_s=0.2, total_timeout_s=0.4) as client,
        ):
            assert await client.ask() is None
            assert client.ignored() == {"other_question": 2}

    run(scenario())


def test_a_server_without_http2_is_not_spoken_to(run, tls, trusted):
    async def scenario():
        async with stream_server(tls=tls, name=NAME) as server:
            upstream = server.upstream._replace(transport=Transport.HTTPS, path="/dns-query")
            async with Client(upstream, **trusted) as client:
                assert await client.ask() is None
                assert client.ended("malformed") == 2
                assert server.queries == []

    run(scenario())


def test_one_that_is_not_trusted_gives_way_to_one_that_is(run, tls, trusted):
    async def scenario():
        async with (
            stream_server(tls=tls, name="other.example") as impostor,
            stream_server(tls=tls, name=NAME) as genuine,
            Client(impostor.upstream, genuine.upstream, **trusted) as client,
        ):
            assert is_answer(await client.ask(), query())
            assert impostor.queries == []

    run(scenario())
