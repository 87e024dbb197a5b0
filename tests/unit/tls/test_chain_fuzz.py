"""Any bytes as a chain: a verdict, never an exception, and never "accepted" by chance."""

from datetime import UTC, datetime

import pki
from hypothesis import assume, given
from hypothesis import strategies as st

from enforcer.tls.anchors import load_anchors
from enforcer.tls.chain import ChainCode, ChainResult, verify_chain

HOST = "connect.example.com"
NGROK = pki.ngrok_like()
IMPOSTOR = pki.ngrok_like(keys="impostor")
ANCHORS = load_anchors(NGROK.root_pem, "ngrok")
CHAIN = NGROK.leaf(HOST).chain_der
NOW = datetime.now(UTC)  # noqa: TID251 pki makes leaves that are valid as of now
pool = [*CHAIN, NGROK.root_der, *IMPOSTOR.leaf(HOST, with_root=True).chain_der, b"", b"\x30\x80"]
times = st.datetimes(timezones=st.just(UTC))


@given(
    chain=st.lists(st.one_of(st.binary(max_size=80), st.sampled_from(pool)), max_size=6),
    host=st.text(max_size=20),
    at=times,
)
def test_anything_gets_a_verdict(chain, host, at):
    result = verify_chain(chain, host, ANCHORS, at)
    assert isinstance(result, ChainResult)
    assert result.reason
    assert not result.accepted


@given(at=st.integers(0, len(CHAIN[0]) - 1), value=st.integers(0, 255), which=st.integers(0, 1))
def test_no_byte_of_a_chain_can_be_changed(at, value, which):
    changed = bytearray(CHAIN[which])
    at %= len(changed)
    assume(changed[at] != value)
    changed[at] = value
    chain = [bytes(changed) if index == which else der for index, der in enumerate(CHAIN)]
    assert not verify_chain(chain, HOST, ANCHORS, NOW).accepted


@given(extras=st.lists(st.one_of(st.binary(max_size=80), st.sampled_from(pool)), max_size=8))
def test_nothing_beside_a_good_chain_spoils_it(extras):
    """Go ends the handshake at garbage, rustls reads on."""
    assert verify_chain([*CHAIN, *extras], HOST, ANCHORS, NOW).code is ChainCode.ACCEPTED
