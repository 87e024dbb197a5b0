"""Who may ask: private ranges and nobody else, unless the settings say so."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.serving.access import Access
from enforcer.settings.dns import DnsSettings

DEFAULT = Access(DnsSettings().allow_from)


@pytest.mark.parametrize(
    "client",
    [
        "127.0.0.1",
        "10.0.0.0",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.3.4",
        "100.64.0.1",
        "100.127.255.255",
        "169.254.1.1",
        "::1",
        "fd00::1",
        "fe80::1",
    ],
)
def test_private_addresses_may_ask_by_default(client):
    assert DEFAULT.allows(ip_address(client))


@pytest.mark.parametrize(
    "client",
    [
        "0.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.32.0.0",
        "192.0.2.1",
        "255.255.255.255",
        "::",
        "::2",
        "2001:db8::1",
        "fe00::1",
    ],
)
def test_this_is_no_open_resolver(client):
    assert not DEFAULT.allows(ip_address(client))


def test_nobody_is_in_no_range():
    assert not Access(()).allows(ip_address("127.0.0.1"))


def test_a_v4_range_says_nothing_of_v6():
    assert not Access([ip_network("0.0.0.0/0")]).allows(ip_address("::1"))


def test_everybody_may_be_let_in():
    access = Access([ip_network("0.0.0.0/0"), ip_network("::/0")])
    assert access.allows(ip_address("255.255.255.255"))
    assert access.allows(ip_address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))


networks = st.builds(
    lambda address, bits: ip_network((address, bits), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


@given(st.lists(networks, max_size=6), st.integers(0, 2**32 - 1))
def test_ranges_mean_what_ipaddress_says(ranges, number):
    client = ip_address(number)
    assert Access(ranges).allows(client) is any(client in network for network in ranges)
    for network in ranges:
        assert Access(ranges).allows(network.network_address)
        assert Access(ranges).allows(network.broadcast_address)


def test_no_range_is_nobody():
    assert not Access(())
    assert Access([ip_network("2001:db8::/32")])
