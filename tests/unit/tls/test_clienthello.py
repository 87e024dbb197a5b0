"""What a hello says, whoever made it, and what is malformed rather than not there yet."""

import ssl

import pytest
from unit.tls.hellos import (
    agent_hello,
    alpn,
    extension,
    hello,
    message,
    real_hello,
    records,
    server_name,
    supported_versions,
    vector,
)

from enforcer.tls.clienthello import MAX_HELLO_BYTES, ClientHello, Malformed, parse_client_hello
from enforcer.tls.first_bytes import NEED_MORE
from enforcer.tls.record import MAX_RECORDS


def test_hello_of_an_ngrok_agent_has_a_name_and_no_alpn():
    assert parse_client_hello(agent_hello()) == ClientHello(
        sni="connect.example.com", alpn=(), versions=(0x0304, 0x0303), ech=False
    )


def test_hello_of_openssl_is_read():
    parsed = parse_client_hello(real_hello("connect.example.com", ["h2", "http/1.1"]))
    assert parsed == ClientHello("connect.example.com", ("h2", "http/1.1"), (0x0304, 0x0303), False)


def test_hello_of_openssl_for_tls_1_2_is_read():
    parsed = parse_client_hello(real_hello("connect.example.com", maximum=ssl.TLSVersion.TLSv1_2))
    assert parsed == ClientHello("connect.example.com", (), (0x0303,), False)


def test_hello_for_an_address_has_no_name():
    assert parse_client_hello(real_hello("192.0.2.1")).sni is None


def test_hello_without_extensions_has_nothing_but_its_version():
    assert parse_client_hello(hello()) == ClientHello(None, (), (0x0303,), False)


def test_what_follows_the_hello_is_ignored():
    assert parse_client_hello(agent_hello() + b"\x14\x03\x03\x00\x01\x01") == parse_client_hello(
        agent_hello()
    )


@pytest.mark.parametrize("sizes", [[1], [3, 1, 200], [5, 16384], [100]])
def test_hello_split_over_records_is_put_together(sizes):
    whole = message(server_name(b"connect.example.com"))
    assert parse_client_hello(records(whole, sizes)).sni == "connect.example.com"


def test_every_beginning_of_a_hello_needs_more():
    whole = agent_hello()
    for length in range(len(whole)):
        assert parse_client_hello(whole[:length]) is NEED_MORE


def test_buffer_may_be_a_bytearray():
    assert parse_client_hello(bytearray(agent_hello())).sni == "connect.example.com"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"Connect.Example.COM", "connect.example.com"),
        (b"connect.example.com.", "connect.example.com"),
        (b"with_underscore.example.com", "with_underscore.example.com"),
        (b"xn--bcher-kva.example", "xn--bcher-kva.example"),
        (b"localhost", "localhost"),
        (b"192.0.2.1", None),
        (b"127.1", None),
        (b"2001:db8::1", None),
    ],
)
def test_server_name_is_folded_and_a_literal_is_none(sent, name):
    assert parse_client_hello(hello(server_name(sent))).sni == name


def test_server_name_of_an_unknown_type_is_no_host_name():
    assert parse_client_hello(hello(server_name(b"connect.example.com", kind=7))).sni is None


def test_ech_is_noticed():
    assert parse_client_hello(hello(server_name(b"a.example"), extension(0xFE0D, b"\0"))).ech


def test_grease_is_left_out():
    parsed = parse_client_hello(
        hello(
            extension(0x0A0A, b""),
            supported_versions(0x7A7A, 0x0304),
            alpn(b"\x1a\x1a", b"h2"),
        )
    )
    assert (parsed.versions, parsed.alpn) == ((0x0304,), ("h2",))


def test_alpn_outside_ascii_is_escaped():
    assert parse_client_hello(hello(alpn(b"\xff"))).alpn == ("\\xff",)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (hello(server_name(b"a.example"), server_name(b"b.example")), "twice"),
        (
            hello(extension(0, vector((b"\0" + vector(b"a")) + (b"\0" + vector(b"b"))))),
            "two server names",
        ),
        (hello(extension(0, vector(b""))), "server_name is empty"),
        (hello(extension(0, vector(b"\0" + vector(b"a")) + b"x")), "after its list"),
        (hello(server_name(b"")), "not a host name"),
        (hello(server_name(b"a..example")), "not a host name"),
        (hello(server_name(b"a b.example")), "not a host name"),
        (hello(server_name(b"a\0.example")), "not a host name"),
        (hello(server_name(b"a" * 64 + b".example")), "not a host name"),
        (hello(server_name(b"a." * 127 + b"example")), "not a host name"),
        (hello(server_name(b"b\xc3\xbccher.example")), "outside ASCII"),
        (hello(alpn(b"")), "empty ALPN"),
        (hello(extension(43, b"\0")), "supported_versions is empty"),
        (hello(extension(43, b"\x03\x03\x04\x03")), "past the end"),
        (hello(legacy_version=0x0200), "version 0x0200"),
        (hello(session_id=bytes(33)), "session id"),
        (hello(suites=b""), "cipher suites"),
        (hello(suites=b"\x13"), "cipher suites"),
        (hello(compression=b""), "compression"),
        (hello(server_name(b"a.example"), after=b"x"), "after the extensions"),
        (records(b"\x01" + vector(b"\x03\x03", 3)), "past the end"),
        (records(b"\x02" + vector(b"\x03\x03", 3)), "type 2"),
        (records(b"\x01" + (MAX_HELLO_BYTES + 1).to_bytes(3, "big")), "more than"),
        (b"\x16\x03\x01\x00\x00", "record of 0 bytes"),
        (b"\x16\x03\x01\x40\x01", "record of 16385 bytes"),
        (b"\x16\x02\x00\x00\x05", "major version 2"),
        (b"\x17\x03\x01\x00\x05", "content type 23"),
        (records(message(), [20])[:25] + b"\x17\x03\x03\x00\x40" + bytes(64), "type 23 within"),
    ],
    ids=lambda value: value if isinstance(value, str) else "sent",
)
def test_malformed_hello_says_what_is_wrong(sent, reason):
    parsed = parse_client_hello(sent)
    assert isinstance(parsed, Malformed)
    assert reason in parsed.reason


def test_hello_in_more_records_than_anyone_needs_is_malformed():
    parsed = parse_client_hello(records(message(extension(21, bytes(MAX_RECORDS))), [1]))
    assert isinstance(parsed, Malformed)
    assert "records" in parsed.reason


def test_largest_hello_is_read():
    rest = len(message(server_name(b"a.example"), extension(21, b"")))
    padding = extension(21, bytes(MAX_HELLO_BYTES + 4 - rest))
    whole = message(server_name(b"a.example"), padding)
    assert len(whole) == MAX_HELLO_BYTES + 4
    assert parse_client_hello(records(whole)).sni == "a.example"
