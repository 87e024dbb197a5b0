"""Parsers of what a client says: never raise, bounded, the same for any split of the input."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enforcer.proxy.entrances import (
    DENIED,
    ConnectHead,
    SocksRequest,
    parse_http_head,
    parse_socks_greeting,
    parse_socks_request,
    proxy_status,
)
from enforcer.proxy.first_words import parse_first_words
from enforcer.tls.first_bytes import NEED_MORE

PARSERS = [parse_http_head, parse_socks_greeting, parse_socks_request, parse_first_words]
SAID = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=60).map(lambda rest: b"CONNECT " + rest),
    st.binary(max_size=60).map(lambda host: b"CONNECT " + host + b":443 HTTP/1.1\r\n\r\n"),
    st.binary(max_size=60).map(lambda rest: b"\x05\x01\x00\x03" + rest),
    st.binary(max_size=60).map(lambda rest: b"\x16\x03\x01" + rest),
    st.text(max_size=40).map(lambda host: f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode()),
)


@pytest.mark.parametrize("parse", PARSERS)
@given(said=SAID)
@example(said=b"CONNECT xn--a.example:443 HTTP/1.1\r\n\r\n")
@example(said=b"\x05\x01\x00\x03\x00\x00")
@settings(max_examples=150, deadline=None)
def test_a_prefix_says_the_same_or_waits(parse, said):
    """Once there is an answer, more bytes do not change it."""
    answers = [parse(bytearray(said[:length])) for length in range(len(said) + 1)]
    given_answers = [answer for answer in answers if answer is not NEED_MORE]
    assert all(answer == given_answers[0] for answer in given_answers)
    # And from then on there is one.
    assert answers[len(answers) - len(given_answers) :] == given_answers


@given(said=SAID)
@settings(max_examples=150, deadline=None)
def test_a_destination_is_one_that_can_be_dialled(said):
    for parsed in (parse_http_head(said), parse_socks_request(said)):
        if isinstance(parsed, ConnectHead | SocksRequest):
            name, address, port = parsed.destination
            assert 0 < port < 65536
            assert (address is None) == bool(name)
            assert name.isascii()
            assert parsed.length <= len(said)


@given(details=st.text(max_size=100))
@settings(max_examples=200, deadline=None)
def test_details_stay_inside_their_string(details):
    """RFC 8941 4.2.5: read back as a structured-field string does."""
    field = proxy_status(DENIED, details)
    prefix = 'enforcer; error=http_request_denied; details="'
    assert field.startswith(prefix)
    rest = field[len(prefix) :]
    at = 0
    while rest[at] != '"':
        assert 0x20 <= ord(rest[at]) <= 0x7E
        at += 2 if rest[at] == "\\" else 1
    assert at == len(rest) - 1
