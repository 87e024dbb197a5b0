"""An address with a port: what is one, and what is not."""

import pytest

from enforcer.settings.endpoint import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("192.0.2.1:53", Endpoint("192.0.2.1", 53)),
        ("0.0.0.0:0", Endpoint("0.0.0.0", 0)),
        ("[2001:DB8::1]:5353", Endpoint("2001:db8::1", 5353)),
        ("[fe80::1%eth0]:53", Endpoint("fe80::1%eth0", 53)),
    ],
)
def test_an_endpoint_is_an_address_and_a_port(text, endpoint):
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::1"])
def test_an_upstream_may_leave_out_the_port(text):
    assert parse_endpoint(text, 53) == Endpoint(text, 53)
    with pytest.raises(ValueError, match="not an address with a port"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":53",
        "localhost:53",
        "192.0.2.1:",
        "192.0.2.1:-1",
        "192.0.2.1:5_3",
        "192.0.2.1:53:53",
        "192.0.2.1:\u0665\u0663",
        "[192.0.2.1:53",
        "[2001:db8::1]",
        "[2001:db8::1]53",
    ],
)
def test_what_is_no_endpoint_is_refused(text):
    with pytest.raises(ValueError, match="not an address with a port"):
        parse_endpoint(text)


@pytest.mark.parametrize("text", ["192.0.2.1:65536", "[2001:db8::1]:99999", "192.0.2.1:1234567"])
def test_a_port_out_of_range_is_called_that(text):
    with pytest.raises(ValueError, match=r"has port [0-9]+; ports go up to 65535"):
        parse_endpoint(text)
