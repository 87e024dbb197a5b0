"""Ranges found by address, against asking each of them."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from enforcer.policy.prefix_table import PrefixTable

NETWORKS = tuple(
    map(
        ip_network,
        ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "::/0", "2001:db8::/32", "::a00:0"),
    )
)
addresses = st.sampled_from(list(map(ip_address, ("10.1.2.3", "10.1.2.4", "10.9.9.9", "::1"))))


@given(
    st.lists(st.sampled_from(NETWORKS)),
    addresses
    | st.builds(IPv4Address, st.integers(0, 2**32 - 1))
    | st.builds(IPv6Address, st.integers(0, 2**128 - 1)),
)
def test_every_range_that_holds_the_address_is_found_and_no_other(networks, address):
    table = PrefixTable((network, place) for place, network in enumerate(networks))
    held = [place for place, network in enumerate(networks) if address in network]
    assert sorted(table.holding(address)) == held
    assert len(table) == len(networks)


def test_the_longest_prefix_comes_first():
    table = PrefixTable((network, str(network)) for network in NETWORKS)
    assert table.holding(ip_address("10.1.2.3")) == [
        "10.1.2.3/32",
        "10.1.0.0/16",
        "10.0.0.0/8",
        "0.0.0.0/0",
    ]


def test_a_table_of_nothing_is_false_and_holds_nothing():
    table = PrefixTable([])
    assert not table
    assert table.holding(ip_address("10.1.2.3")) == []
