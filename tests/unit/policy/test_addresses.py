"""Addresses and ranges: one form for each, v4 and v6 comparable."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.policy.addresses import (
    longest_prefix,
    parse_address,
    parse_network,
    parse_written_address,
    prefix_bits,
)

addresses = st.ip_addresses()
networks = st.builds(
    lambda address, bits: ip_network((address, bits % (address.max_prefixlen + 1)), strict=False),
    addresses,
    st.integers(0, 128),
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("::ffff:192.0.2.1", IPv4Address("192.0.2.1")),
        ("2001:DB8::1", IPv6Address("2001:db8::1")),
        ("fe80::1%eth0", IPv6Address("fe80::1")),
    ],
)
def test_an_address_has_one_form(text, address):
    assert parse_address(text) == address


def test_a_person_may_write_brackets_round_v6():
    assert parse_written_address("[2001:db8::1]") == IPv6Address("2001:db8::1")
    assert parse_written_address("192.0.2.1") == IPv4Address("192.0.2.1")
    for text in ("[192.0.2.1]", "[2001:db8::1", "[]", "2001:db8::1]", "[[::1]]"):
        with pytest.raises(ValueError, match="does not appear to be"):
            parse_written_address(text)


@pytest.mark.parametrize("text", ["", "192.0.2.1:53", "192.0.2.01", "example.com", "1", "127.1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="does not appear to be"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_a_range_has_one_form(text, network):
    assert parse_network(text) == ip_network(network)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("10.1.2.3/8", "write 10.0.0.0/8"),
        ("10.0.0.0-10.0.0.9", "write an address or a range such as 203.0.113.0/24"),
        ("fe80::1%eth0", "leave out % and what follows"),
        ("10.0.0.0/33", "write an address or a range such as 203.0.113.0/24"),
    ],
)
def test_a_range_that_is_none_comes_with_a_remedy(text, remedy):
    with pytest.raises(ValueError, match="; ") as caught:
        parse_network(text)
    assert str(caught.value).endswith(f"; {remedy}")


def test_a_v4_prefix_is_as_specific_as_its_mapped_v6_prefix():
    assert prefix_bits(IPv4Network("10.0.0.0/8")) == prefix_bits(ip_network("::ffff:10.0.0.0/104"))
    assert prefix_bits(ip_network("::/0")) == 1


@given(addresses, st.lists(networks, max_size=5))
def test_the_longest_range_that_holds_the_address_counts(address, ranges):
    holding = [r for r in ranges if r.version == address.version and address in r]
    found = longest_prefix(address, ranges)
    assert (found == 0) is (not holding)
    assert found == max(map(prefix_bits, holding), default=0)


def test_an_address_of_the_other_family_is_in_no_range():
    assert longest_prefix(ip_address("::1"), [ip_network("0.0.0.0/0")]) == 0
