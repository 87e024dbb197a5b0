"""Any bytes before a query: a header, half of one, or none, and never an exception."""

from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.serving.proxy_header import SIGNATURE, ProxyHeader, parse_proxy_header
from enforcer.tls.first_bytes import NEED_MORE

after_signature = st.builds(
    lambda versions, family, length, rest: (
        SIGNATURE + bytes((versions, family)) + length.to_bytes(2, "big") + rest
    ),
    st.sampled_from([0x20, 0x21, 0x00, 0xFF]),
    st.integers(0, 255),
    st.integers(0, 60),
    st.binary(max_size=80),
)


@given(st.one_of(st.binary(max_size=40), after_signature))
def test_any_bytes_are_read_or_not(data):
    header = parse_proxy_header(data)
    if isinstance(header, ProxyHeader):
        assert 16 <= header.size_bytes <= len(data)
        # What follows belongs to the query, and changes nothing.
        assert parse_proxy_header(data[: header.size_bytes]) == header
        assert parse_proxy_header(bytearray(data) + b"\0" * 40) == header
    elif header is NEED_MORE:
        assert parse_proxy_header(data + bytes(0x10000 + 16)) is not NEED_MORE
    else:
        assert parse_proxy_header(data + b"\0") is None
