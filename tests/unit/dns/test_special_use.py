"""Names that are answered here."""

from ipaddress import ip_address, ip_network

import dns.rdata
import dns.rdatatype
import dns.reversename
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.special_use import answer_special
from enforcer.policy.names import from_wire, to_wire

ANY_TYPES = ["A", "AAAA", "NS", "SOA", "PTR", "TXT", "HTTPS", "ANY"]


def ask(name, qtype="A"):
    return answer_special(to_wire(name.rstrip(".").lower()), dns.rdatatype.from_text(qtype))


def texts(answer):
    return [
        dns.rdata.from_wire(1, record.rtype, record.rdata, 0, len(record.rdata)).to_text()
        for record in answer.records
    ]


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "example.com",
        "com",
        "nottest",
        "atest.com",
        "test.com",
        "mylocal",
        "office.arpa",
        "in-addr.arpa",
        "arpa",
        "8.8.8.8.in-addr.arpa",
        "11.in-addr.arpa",
        "15.172.in-addr.arpa",
        "32.172.in-addr.arpa",
        "63.100.in-addr.arpa",
        "128.100.in-addr.arpa",
        "8.ip6.arpa",
    ],
)
def test_name_like_any_other_is_not_answered(name):
    assert ask(name) is None


def test_label_that_ends_like_a_special_name_is_none():
    """The bytes of a length and a label, inside another label."""
    assert answer_special(b"\x0ax\x04y.z\x04test\0", 1) is None


@pytest.mark.parametrize("top", ["invalid", "test", "onion", "alt"])
@pytest.mark.parametrize("below", ["", "www.", "a.b.c."])
@pytest.mark.parametrize("qtype", ANY_TYPES)
def test_name_that_is_nowhere_does_not_exist(top, below, qtype):
    answer = ask(below + top, qtype)
    assert answer.nxdomain
    assert answer.records == ()
    assert answer.zone == b"\0"


@pytest.mark.parametrize("name", ["localhost", "app.localhost", "a.b.localhost"])
def test_localhost_is_this_machine_and_so_is_every_name_below(name):
    assert texts(ask(name, "A")) == ["127.0.0.1"]
    assert texts(ask(name, "AAAA")) == ["::1"]
    nothing = ask(name, "TXT")
    assert (nothing.nxdomain, nothing.records) == (False, ())


@pytest.mark.parametrize(
    "network",
    [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "100.64.0.0/10",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "0.0.0.0/8",
        "255.255.255.255/32",
        "fd00::/8",
        "fe80::/10",
        "2001:db8::/32",
        "::/128",
    ],
)
def test_reverse_names_of_private_ranges_do_not_leak(network):
    network = ip_network(network)
    for address in (network[0], network[-1], network[network.num_addresses // 2]):
        answer = ask(dns.reversename.from_address(str(address)).to_text(), "PTR")
        assert answer is not None
        assert answer.records == ()


def test_addresses_beside_the_private_ranges_are_asked_for_upstream():
    for address in ("9.255.255.255", "11.0.0.0", "172.15.0.1", "172.32.0.1", "100.128.0.1"):
        assert ask(dns.reversename.from_address(address).to_text(), "PTR") is None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_reverse_of_the_loopback_address_is_localhost(address):
    name = dns.reversename.from_address(address).to_text()
    assert texts(ask(name, "PTR")) == ["localhost."]
    assert not ask(name, "A").nxdomain
    assert ip_address(address).is_loopback


def test_empty_zone_has_an_apex_and_nothing_below():
    """RFC 6303 3."""
    assert texts(ask("10.in-addr.arpa", "SOA")) == [
        "10.in-addr.arpa. nobody.invalid. 1 3600 1200 604800 10800"
    ]
    assert texts(ask("10.in-addr.arpa", "NS")) == ["10.in-addr.arpa."]
    assert (ask("10.in-addr.arpa").nxdomain, ask("1.10.in-addr.arpa").nxdomain) == (False, True)
    assert ask("printer.home.arpa").zone == to_wire("home.arpa")


def test_resolver_has_no_designated_ones():
    """RFC 9462 6.4: no data, rather than no such name."""
    answer = ask("_dns.resolver.arpa", "SVCB")
    assert (answer.nxdomain, answer.records) == (False, ())


labels = st.sampled_from(["a", "test", "localhost", "arpa", "in-addr", "ip6", "10", "d", "f"])


@given(st.lists(labels, max_size=6).map(".".join), st.sampled_from(ANY_TYPES))
def test_zone_is_the_root_or_holds_the_name_and_no_name_has_data_and_is_none(name, qtype):
    answer = ask(name, qtype)
    if answer is not None:
        zone = from_wire(answer.zone)
        assert not zone or f".{name}".endswith(f".{zone}")
        assert not (answer.nxdomain and answer.records)
        assert answer.soa.rdata.startswith(answer.zone)
