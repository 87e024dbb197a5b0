"""DNS cookies as a client sees them: RFC 7873 5.2, and the form that RFC 9018 4 gives them."""

import time

import dns.edns
import dns.rcode
import pytest
from integration.dns_questions import asking, each_name, each_transport, with_edns

CLIENT = b"\xa5client\x5a"
# Well-formed, and not made here: a server cookie of some other kind, and one of RFC 9018's.
NOT_OURS = [b"a server", bytes(32), b"\1\0\0\0" + bytes(12)]


@pytest.fixture
async def ask(policy_from):
    async with asking(policy_from) as asked:
        yield asked


def with_cookie(name, server=b"", client=CLIENT):
    return with_edns(name, options=[dns.edns.CookieOption(client, server)])


def cookies_of(answer):
    return [option for option in answer.options if option.otype == dns.edns.COOKIE]


@each_name
@each_transport
async def test_who_sends_no_cookie_gets_none(ask, name, rcode, transport):
    """RFC 7873 5.2.1."""
    answer = await ask(with_edns(name), transport)
    assert answer.rcode() == rcode
    assert cookies_of(answer) == []


@each_name
@each_transport
@pytest.mark.parametrize("length", [0, 3, 7, 9, 15, 41, 100])
async def test_cookie_of_no_cookies_length_is_a_format_error(ask, name, rcode, transport, length):
    """RFC 7873 5.2.2; RFC 6891 7: with an OPT."""
    malformed = dns.edns.GenericOption(dns.edns.COOKIE, bytes(length))
    query = with_edns(name, options=[malformed])
    answer = await ask(query, transport)
    assert answer.rcode() == dns.rcode.FORMERR
    assert answer.question == query.question
    assert answer.edns == 0
    assert answer.options == ()
    assert ask.gateway.upstream.queries == []


@each_name
@each_transport
async def test_client_cookie_comes_back_with_a_server_cookie(ask, name, rcode, transport):
    """RFC 7873 5.2.3; RFC 9018 4: version 1, three reserved bytes, the time, and a hash."""
    before_s = int(time.time())
    answer = await ask(with_cookie(name), transport)
    assert answer.rcode() == rcode
    (cookie,) = cookies_of(answer)
    assert cookie.client == CLIENT
    assert len(cookie.server) == 16
    assert cookie.server[:4] == b"\1\0\0\0"
    assert before_s <= int.from_bytes(cookie.server[4:8], "big") <= time.time()


@each_name
@each_transport
@pytest.mark.parametrize("server", NOT_OURS, ids=["8 bytes", "32 bytes", "16 bytes"])
async def test_server_cookie_that_is_not_ours_is_answered_with_one_that_is(
    ask, name, rcode, transport, server
):
    """RFC 7873 5.2.4."""
    answer = await ask(with_cookie(name, server), transport)
    assert answer.rcode() == rcode
    (cookie,) = cookies_of(answer)
    assert cookie.client == CLIENT
    assert cookie.server != server
    assert len(cookie.server) == 16


@each_name
@each_transport
async def test_server_cookie_that_is_ours_and_fresh_stays(ask, name, rcode, transport):
    """RFC 7873 5.2.5, RFC 9018 4.3."""
    (first,) = cookies_of(await ask(with_cookie(name), transport))
    again = await ask(with_cookie(name, first.server), transport)
    assert again.rcode() == rcode
    assert cookies_of(again) == [first]


@each_name
async def test_cookie_counts_over_udp_and_tcp_alike(ask, name, rcode):
    """RFC 7873 5.2: the transport is no part of it."""
    (first,) = cookies_of(await ask(with_cookie(name), "udp"))
    assert cookies_of(await ask(with_cookie(name, first.server), "tcp")) == [first]


@each_name
@each_transport
async def test_cookie_is_for_one_client_cookie(ask, name, rcode, transport):
    """RFC 9018 4.4: the hash is over it."""
    (first,) = cookies_of(await ask(with_cookie(name), transport))
    (other,) = cookies_of(await ask(with_cookie(name, first.server, b"somebody"), transport))
    assert other.client == b"somebody"
    assert other.server != first.server


@each_name
@each_transport
async def test_cookie_is_for_one_address(ask, name, rcode, transport):
    """RFC 9018 4.4: the hash is over the client's address."""
    (first,) = cookies_of(await ask(with_cookie(name), transport, "127.0.0.1"))
    elsewhere = await ask(with_cookie(name, first.server), transport, "127.0.0.2")
    assert elsewhere.rcode() == rcode
    assert cookies_of(elsewhere)[0].server != first.server
