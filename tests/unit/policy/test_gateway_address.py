"""The rule that no policy changes: what only the gateway itself could reach."""

from ipaddress import ip_address

import pytest

from enforcer.policy.gateway_address import exposes_gateway, refuse_gateway_address
from enforcer.policy.model import Mode, Plane, Request


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1", "224.0.0.1"],
)
def test_what_only_the_gateway_reaches_is_for_its_own_clients(text):
    assert exposes_gateway(ip_address(text), ip_address("10.0.0.7"))
    assert not exposes_gateway(ip_address(text), ip_address("127.0.0.1"))


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "192.168.1.1", "203.0.113.9", "2001:db8::1", "fd00::1"]
)
def test_other_addresses_are_the_policys_business(text):
    assert not exposes_gateway(ip_address(text), ip_address("10.0.0.7"))


def test_a_client_that_is_not_known_is_one_from_elsewhere():
    assert exposes_gateway(ip_address("127.0.0.1"), None)


def test_the_refusal_blocks_in_monitor_mode_too():
    request = Request(Plane.CONNECT, address=ip_address("127.0.0.1"))
    verdict = refuse_gateway_address(request, Mode.MONITOR)
    assert verdict.blocks
    assert (verdict.rule, str(verdict.source)) == ("gateway-address", "built in")
    assert verdict.reason == "127.0.0.1 is for the gateway itself"
