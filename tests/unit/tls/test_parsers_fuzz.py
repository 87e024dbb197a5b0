"""Any bytes: no parser raises, none reads more than its bound, and the split is no matter."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.tls.hellos import agent_hello, alpn, hello, real_hello, server_name

from enforcer.tls.clienthello import ClientHello, Malformed, parse_client_hello
from enforcer.tls.first_bytes import MAX_SNIFF_BYTES, NEED_MORE, sniff
from enforcer.tls.record import MAX_RECORDS

HELLOS = [agent_hello(), real_hello("connect.example.com", ["h2"]), hello(alpn(b"h2"), sizes=[7])]
# Whatever can be behind a record header, so that more than the first byte is put to the test.
record_like = st.lists(st.binary(min_size=1, max_size=60), max_size=5).map(
    lambda parts: b"".join(b"\x16\x03\x03" + len(p).to_bytes(2, "big") + p for p in parts)
)


@st.composite
def damaged_hellos(draw):
    """A hello with a few bytes changed, and cut off or continued."""
    changed = bytearray(draw(st.sampled_from(HELLOS)))
    for _ in range(draw(st.integers(0, 4))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.integers(0, len(changed)))
    return bytes(changed[: cut or None]) + draw(st.binary(max_size=20))


anything = st.one_of(st.binary(max_size=400), record_like, damaged_hellos())


@pytest.mark.parametrize("parse", [parse_client_hello, sniff])
@given(data=anything)
@example(data=b"")
def test_answer_stands_once_it_is_given(parse, data):
    """Fed byte by byte, the first answer that is not NEED_MORE is the answer to all of it."""
    early = NEED_MORE
    for length in range(len(data) + 1):
        early = parse(bytearray(data[:length]))
        if early is not NEED_MORE:
            break
    late = parse(data)
    # A later byte may show which of two things is wrong, but never make wrong right.
    assert late == early or (isinstance(late, Malformed) and isinstance(early, Malformed))


@given(data=anything)
def test_hello_is_one_of_three_outcomes(data):
    parsed = parse_client_hello(data)
    assert parsed is NEED_MORE or isinstance(parsed, ClientHello | Malformed)
    if isinstance(parsed, ClientHello) and parsed.sni is not None:
        assert parsed.sni == parsed.sni.lower()
        assert parsed.sni.isascii()
        assert parsed.sni.isprintable()


@given(data=st.binary(min_size=MAX_SNIFF_BYTES, max_size=40))
def test_sniff_never_needs_more_than_its_bound(data):
    assert sniff(data) is not NEED_MORE
    assert sniff(data) is sniff(data[:MAX_SNIFF_BYTES])


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=MAX_RECORDS // 100),
    name=st.from_regex(r"[a-z][a-z0-9-]{0,20}\.example", fullmatch=True),
)
def test_records_of_any_size_carry_the_same_hello(sizes, name):
    assert parse_client_hello(hello(server_name(name.encode()), sizes=sizes)).sni == name
