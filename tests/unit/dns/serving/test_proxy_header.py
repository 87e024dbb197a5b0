"""PROXY headers of version 2, as HAProxy's and dnsdist's bytes have them."""

import socket
import struct
from ipaddress import ip_address

import pytest

from enforcer.dns.serving.proxy_header import SIGNATURE, ProxyHeader, parse_proxy_header
from enforcer.tls.first_bytes import NEED_MORE

QUERY = b"\0\1\1\0\0\1\0\0\0\0\0\0\0\0\1\0\1"


def header(client="192.0.2.9", *, command=1, protocol=2, tlvs=b""):
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    packed = socket.inet_pton(family, client)
    addresses = packed * 2 + struct.pack("!2H", 5300, 53) + tlvs
    kind = (2 if family == socket.AF_INET6 else 1) << 4 | protocol
    return SIGNATURE + struct.pack("!2BH", 0x20 | command, kind, len(addresses)) + addresses


@pytest.mark.parametrize("client", ["192.0.2.9", "2001:db8::9"])
@pytest.mark.parametrize("protocol", [1, 2])
def test_the_client_is_the_source_address(client, protocol):
    data = header(client, protocol=protocol)
    assert parse_proxy_header(data + QUERY) == ProxyHeader(ip_address(client), len(data))


def test_a_mapped_address_is_the_v4_address():
    assert parse_proxy_header(header("::ffff:192.0.2.9")).client == ip_address("192.0.2.9")


def test_what_else_the_proxy_says_is_stepped_over():
    data = header(tlvs=b"\x04\0\x03abc")
    assert parse_proxy_header(data).size_bytes == len(data)


@pytest.mark.parametrize("length", [0, 12])
def test_a_proxy_may_speak_for_itself(length):
    data = SIGNATURE + struct.pack("!2BH", 0x20, 0, length) + bytes(length)
    assert parse_proxy_header(data + QUERY) == ProxyHeader(None, len(data))


def test_addresses_that_are_none_of_ours_are_stepped_over():
    data = SIGNATURE + struct.pack("!2BH", 0x21, 0x31, 216) + bytes(216)  # AF_UNIX
    assert parse_proxy_header(data) == ProxyHeader(None, len(data))


@pytest.mark.parametrize("length", range(len(header())))
def test_half_a_header_may_still_become_one(length):
    assert parse_proxy_header(header()[:length]) is NEED_MORE


@pytest.mark.parametrize(
    "data",
    [
        QUERY,
        b"PROXY UDP4 192.0.2.9 192.0.2.1 1 53\r\n",
        SIGNATURE[:-1] + b"x",
        SIGNATURE + struct.pack("!2BH", 0x11, 0x12, 12) + bytes(12),  # version 1
        SIGNATURE + struct.pack("!2BH", 0x22, 0x12, 12) + bytes(12),  # no such command
        SIGNATURE + struct.pack("!2BH", 0x21, 0x42, 12) + bytes(12),  # no such family
        SIGNATURE + struct.pack("!2BH", 0x21, 0x13, 12) + bytes(12),  # no such protocol
        SIGNATURE + struct.pack("!2BH", 0x21, 0x12, 11) + bytes(11),  # too short for two
        SIGNATURE + struct.pack("!2BH", 0x21, 0x22, 12) + bytes(12),  # v4 as v6
    ],
)
def test_what_is_no_header_is_none(data):
    assert parse_proxy_header(data) is None
