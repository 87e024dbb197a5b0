import pytest

from enforcer.policy.addresses import parse_address
from enforcer.proxy.own_doors import is_local, is_own_door
from enforcer.settings.endpoint import Endpoint

LISTENING = {
    "proxy": [Endpoint("0.0.0.0", 8080), Endpoint("::", 8080)],
    "dns": [Endpoint("10.0.0.1", 5053)],
    "admin": [Endpoint("127.0.0.1", 9053)],
}


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("127.0.0.1", 8080),
        ("127.9.9.9", 8080),  # all of 127.0.0.0/8 is this host
        ("::1", 8080),
        ("0.0.0.0", 8080),
        ("10.0.0.1", 5053),
        ("127.0.0.1", 9053),
        ("0.0.0.0", 9053),
        ("::", 9053),
    ],
)
def test_what_a_listener_takes_is_a_door(address, port):
    assert is_own_door(LISTENING, parse_address(address), port)


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("127.0.0.1", 443),
        ("127.0.0.1", None),
        ("198.51.100.7", 8080),  # a proxy, but another host's
        ("2001:db8::7", 8080),
        ("10.0.0.2", 5053),
        ("0.0.0.0", 5053),
    ],
)
def test_what_none_takes_is_not(address, port):
    assert not is_own_door(LISTENING, parse_address(address), port)


@pytest.mark.parametrize("text", ["198.51.100.7", "255.255.255.255", "2001:db8::7", "fe80::1"])
def test_addresses_elsewhere_are_not_local(text):
    assert not is_local(parse_address(text))
