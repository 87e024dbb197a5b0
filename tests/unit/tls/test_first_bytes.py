"""Who speaks is known at the first byte that tells, and an alert is one that clients read."""

import ssl

import pytest
from unit.tls.hellos import agent_hello

from enforcer.policy.model import Protocol
from enforcer.tls.first_bytes import (
    MAX_SNIFF_BYTES,
    MAX_SSH_BYTES,
    NEED_MORE,
    AlertDescription,
    begins_ssh,
    build_alert,
    sniff,
)


@pytest.mark.parametrize(
    ("sent", "protocol"),
    [
        (agent_hello(), Protocol.TLS),
        (b"\x16\x03", Protocol.TLS),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Protocol.SSH),
        (b"GET / HTTP/1.1\r\n", Protocol.HTTP),
        (b"POST /x HTTP/1.1\r\n", Protocol.HTTP),
        (b"CONNECT a.example:443 HTTP/1.1\r\n", Protocol.HTTP),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Protocol.HTTP),
        # Records that no handshake begins with are TLS all the same.
        (b"\x15\x03\x01\x00\x02\x01\x64" + agent_hello(), Protocol.TLS),
        (b"\x14\x03\x03\x00\x01\x01", Protocol.TLS),
        (b"\x17\x03\x03", Protocol.TLS),
        # So is what Go reads though TLS never had such a version.
        (b"\x16\x02\x00" + agent_hello()[3:], Protocol.TLS),
        (b"\x16\x0f\xff" + agent_hello()[3:], Protocol.TLS),
        (b"\x15\x00\x00\x00\x02\x01\x64", Protocol.TLS),
        # A length in little-endian, as MongoDB's, is no record.
        (b"\x16\x01\x00\x00\x07\x00\x00\x00", Protocol.UNKNOWN),
        (b"\x15\x01\x00\x00\x07\x00\x00\x00", Protocol.UNKNOWN),
        (b"\x16\x10", Protocol.UNKNOWN),
        (b"get / HTTP/1.1", Protocol.UNKNOWN),
        (b"GETTING", Protocol.UNKNOWN),
        (b"\0\0\x04\x12", Protocol.UNKNOWN),
    ],
)
def test_protocol_of_the_first_bytes(sent, protocol):
    assert sniff(sent) is protocol
    assert sniff(bytearray(sent)) is protocol


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x16",
        b"\x16\x02\x00\x01\x02",
        b"\x15\x00\x00\x00\x02",
        b"S",
        b"SSH",
        b"P",
        b"PRI *",
        b"OPTIONS",
    ],
)
def test_bytes_that_can_become_a_protocol_need_more(sent):
    assert sniff(sent) is NEED_MORE


def test_no_byte_is_waited_for_that_cannot_change_the_answer():
    assert all(sniff(bytes([first])) is not NEED_MORE for first in b"\x00XYZ\xff")
    assert sniff(b"CONNECT " + bytes(MAX_SNIFF_BYTES)) is Protocol.HTTP


@pytest.mark.parametrize(
    ("sent", "ssh"),
    [
        (b"SSH-2.0-x\r\n", True),
        (b"\nSSH-2.0-x\n", True),
        (b"GET / HTTP/1.1\r\nSSH-2.0-x\r\n", True),
        (bytes(MAX_SSH_BYTES - 5) + b"\nSSH-", True),
        (bytes(MAX_SSH_BYTES - 4) + b"\nSSH-", False),
        (b" SSH-2.0-x\r\n", False),
        (b"\nSSH", False),
        (b"", False),
    ],
)
def test_ssh_may_begin_at_any_of_the_first_lines(sent, ssh):
    assert begins_ssh(sent) is ssh
    assert begins_ssh(bytearray(sent)) is ssh


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (AlertDescription.ACCESS_DENIED, "access denied"),
        (AlertDescription.DECODE_ERROR, "decode error"),
        (AlertDescription.INTERNAL_ERROR, "internal error"),
        (AlertDescription.UNRECOGNIZED_NAME, "unrecognized name"),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_openssl_understands_the_alert(description, said, version):
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="connect.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    incoming.write(build_alert(description))
    with pytest.raises(ssl.SSLError, match=said):
        client.do_handshake()
