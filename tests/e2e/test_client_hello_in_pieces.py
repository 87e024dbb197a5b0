"""Way round: a ClientHello in small pieces, over many segments or TLS records.

Closed by: the TLS gate, which reads on until it has the whole hello, within its bounds.
"""

import pytest
from e2e.agent import GREETING
from e2e.judges import UNRECOGNIZED_NAME, shake_hands
from e2e.topology import CONNECT_URL, DEFAULT_INGRESS, EDGE

pytestmark = pytest.mark.root

LOOPBACK = "127.0.0.1"
# Long enough that openssl's smallest record, 512 bytes, does not hold the hello.
LONG_HELLO = ["-max_send_frag", "512", "-alpn", ",".join(f"protocol-{n:03}" for n in range(100))]


@pytest.fixture
def dribbling(lab, gateway):
    """A relay at the client's end that passes on one byte at a time."""
    with lab.tap(lab.client, f"{LOOPBACK}:443", f"{EDGE.v4}:443", piece_bytes=1) as recorded:
        yield recorded


def test_default_name_byte_by_byte_is_refused(lab, gateway, edge, authority, dribbling):
    result = lab.agent(f"{DEFAULT_INGRESS}:443", authority.root_pem, address=LOOPBACK)
    assert result.error == "failed to connect session: tls handshake error"
    gateway.audited("--name", DEFAULT_INGRESS, plane="tls", action="block")
    assert edge.hellos(DEFAULT_INGRESS) == 0


def test_connect_url_byte_by_byte_is_served(lab, gateway, edge, authority, dribbling):
    with lab.connected_agent(f"{CONNECT_URL}:443", authority.root_pem, address=LOOPBACK) as agent:
        assert agent.result.connected, agent.result.error
        assert lab.ask_endpoint(agent.result.url) == GREETING.decode()


def test_default_name_over_several_records_is_refused(lab, gateway, edge):
    handshake = shake_hands(lab.client, EDGE.v4, DEFAULT_INGRESS, *LONG_HELLO)
    assert handshake.alert == UNRECOGNIZED_NAME, handshake.text
    assert edge.hellos(DEFAULT_INGRESS) == 0


def test_connect_url_over_several_records_is_served(lab, gateway, edge):
    assert shake_hands(lab.client, EDGE.v4, CONNECT_URL, *LONG_HELLO).certificate


def test_hello_really_is_in_several_records(lab, gateway, edge):
    with lab.tap(lab.client, f"{LOOPBACK}:443", f"{EDGE.v4}:443") as recorded:
        shake_hands(lab.client, LOOPBACK, CONNECT_URL, *LONG_HELLO)
        hello = (recorded / "1.sent").read_bytes()
    # RFC 8446 5.1: type, version, length; the hello's own length counts on past the record.
    record_bytes = int.from_bytes(hello[3:5], "big")
    hello_bytes = int.from_bytes(hello[6:9], "big")
    assert hello[0] == 22
    assert record_bytes < hello_bytes
