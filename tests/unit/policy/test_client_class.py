"""Clients by the ranges that hold them."""

from ipaddress import ip_address, ip_network

from enforcer.policy.client_class import ClientClasses

RANGES = tuple(map(ip_network, ("10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8", "2001:db8::/32")))


def test_clients_in_the_same_ranges_are_of_one_class():
    of = ClientClasses(RANGES).of
    assert of(ip_address("10.1.2.3")) == of(ip_address("10.1.9.9"))
    assert of(ip_address("10.1.2.3")) != of(ip_address("10.2.2.3"))
    assert of(ip_address("2001:db8::1")) not in (0, of(ip_address("10.1.2.3")))


def test_a_client_in_no_range_is_of_the_class_of_nobody():
    of = ClientClasses(RANGES).of
    assert of(ip_address("192.0.2.1")) == of(ip_address("::1")) == of(None) == 0


def test_a_range_that_stands_twice_is_one():
    assert len(ClientClasses(RANGES)) == 3
    assert not ClientClasses(())
