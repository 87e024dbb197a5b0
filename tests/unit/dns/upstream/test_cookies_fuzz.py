"""Whatever an upstream's OPT is, reading it ends, and takes no more away than it should."""

from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.upstream.cookies import UpstreamCookies, read_reply

HEAD = b"\x12\x34\x81\x80\0\1\0\1\0\0\0\1\3www\7example\0\0\1\0\1"
RECORD = b"\xc0\x0c\0\1\0\1\0\0\0<\0\4\xc0\0\2\1"


@given(st.binary(min_size=12, max_size=120), st.booleans(), st.booleans())
def test_no_bytes_are_too_strange(message, with_cookies, keep_opt):
    cookies = UpstreamCookies(b"clientck", 0.0) if with_cookies else None
    read = read_reply(message, cookies, keep_opt=keep_opt)
    assert len(read.message) <= len(message)
    assert 0 <= read.extended_rcode <= 255


@given(st.binary(max_size=60), st.integers(0, 70), st.booleans())
def test_options_of_any_bytes_and_any_length_are_read(options, length, keep_opt):
    opt = b"\0\0\x29\x04\xd0\0\0\0\0" + length.to_bytes(2, "big") + options
    read = read_reply(HEAD + RECORD + opt, UpstreamCookies(b"clientck", 0.0), keep_opt=keep_opt)
    assert read.message.startswith(HEAD[:10])
    assert RECORD in read.message
