import pytest
from unit.tls.hellos import agent_hello

from enforcer.policy.model import Protocol
from enforcer.proxy.first_words import FirstWords, parse_first_words
from enforcer.tls.clienthello import Malformed
from enforcer.tls.first_bytes import NEED_MORE

HELLO = agent_hello()


def test_a_hello_is_read_whole():
    words = parse_first_words(bytearray(HELLO))
    assert words.protocol is Protocol.TLS
    assert words.hello.sni
    assert parse_first_words(bytearray(HELLO[:-1])) is NEED_MORE


@pytest.mark.parametrize(
    ("said", "protocol"),
    [(b"SSH-2.0-x", Protocol.SSH), (b"GET /", Protocol.HTTP), (b"\nSSH-2.0-x", Protocol.UNKNOWN)],
)
def test_anything_else_is_known_by_how_it_begins(said, protocol):
    assert parse_first_words(bytearray(said)) == FirstWords(protocol, None)


def test_a_hello_behind_a_warning_is_refused():
    warning = bytes.fromhex("15030100020164")
    assert isinstance(parse_first_words(bytearray(warning + HELLO)), Malformed)
