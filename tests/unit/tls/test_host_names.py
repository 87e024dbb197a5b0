"""Names as RFC 9525 matches them: no more than agents demand, no less."""

from ipaddress import ip_address

import pytest

from enforcer.tls.host_names import covers


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("connect.example.com", "connect.example.com"),
        ("Connect.Example.COM", "connect.example.com"),
        ("connect.example.com", "connect.example.com."),
        ("*.example.com", "connect.example.com"),
        ("*.corp", "connect.corp"),
        ("*.example.com", "xn--bcher-kva.example.com"),
        ("localhost", "localhost"),
    ],
)
def test_name_covers_host(name, host):
    assert covers([name], [], host)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("connect.example.com", "connect.example.org"),
        ("connect.example.com", "a.connect.example.com"),
        ("*.example.com", "example.com"),
        ("*.example.com", "a.connect.example.com"),
        ("*.example.com", ".example.com"),
        ("c*.example.com", "connect.example.com"),
        ("connect.*.com", "connect.example.com"),
        ("*", "localhost"),
        ("*.", "localhost"),
        ("", "localhost"),
        ("lin\u212a.example.com", "link.example.com"),  # the Kelvin sign is a k in lower case
        ("192.0.2.1", "192.0.2.1"),  # an address counts as an address only
        ("*.0.2.1", "192.0.2.1"),
    ],
)
def test_name_does_not_cover_host(name, host):
    assert not covers([name], [], host)


def test_an_odd_name_does_not_spoil_the_others():
    assert covers(
        ["*", "", "a..b", "*.*.example", "connect.example.com"], [], "connect.example.com"
    )


def test_address_is_compared_with_addresses():
    addresses = [ip_address("192.0.2.1"), ip_address("2001:db8::1")]
    assert covers([], addresses, "2001:db8:0::1")
    assert covers([], addresses, "192.0.2.1")
    assert not covers([], addresses, "192.0.2.2")
