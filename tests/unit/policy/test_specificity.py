"""One key for how closely a rule fits a request."""

from ipaddress import ip_address, ip_network

import pytest

from enforcer.policy.model import Action, Match, Plane, PortRange, Protocol, Request, Rule, Source
from enforcer.policy.specificity import (
    ANY_NAME,
    exact_fit,
    narrowness,
    pattern_fit,
    specificity,
    suffix_fit,
)

FULL = Request(
    Plane.TLS,
    "a.example",
    address=ip_address("10.1.2.3"),
    port=443,
    client=ip_address("192.0.2.7"),
    protocol=Protocol.TLS,
)
MATCH = Match(
    addresses=(ip_network("10.0.0.0/8"),),
    ports=(PortRange(443, 443), PortRange(1, 1000)),
    clients=(ip_network("192.0.2.0/24"),),
    protocols=(Protocol.TLS, Protocol.SSH),
)


def rule(action=Action.BLOCK, match=MATCH, **more):
    return Rule("r", action, match, "because", Source("p.yaml", 1), **more)


def test_names_compare_by_literal_labels_then_kind():
    fits = [
        exact_fit("a.b.example"),
        pattern_fit("*.a.b.example"),
        suffix_fit("a.b.example"),
        exact_fit("b.example"),
        pattern_fit("*.b.example"),
        suffix_fit("b.example"),
        pattern_fit("*.*.example"),
        suffix_fit("example"),
        pattern_fit("*.*"),
        ANY_NAME,
    ]
    assert fits == sorted(fits, reverse=True)
    assert len(set(fits)) == len(fits)


def test_the_closest_entry_of_each_part_counts():
    key = specificity(rule(), ANY_NAME, FULL)
    assert key == (24 + 97, (0, 0), 8 + 97, 0, 0, 0, 0, 65536, 1, 0, 0, True)


@pytest.mark.parametrize(
    ("part", "fact"),
    [
        ("address", ip_address("11.0.0.1")),
        ("address", ip_address("::1")),
        ("port", 1001),
        ("client", ip_address("192.0.3.1")),
        ("protocol", Protocol.HTTP),
    ],
)
def test_every_part_must_match(part, fact):
    assert specificity(rule(), ANY_NAME, FULL._replace(**{part: fact})) is None


@pytest.mark.parametrize("part", ["address", "port", "protocol"])
def test_what_is_not_known_fits_what_lets_through(part):
    unknown = FULL._replace(**{part: None})
    assert specificity(rule(Action.BLOCK), ANY_NAME, unknown) is None
    for action in (Action.ALLOW, Action.MONITOR):
        assert specificity(rule(action), ANY_NAME, unknown) is not None


@pytest.mark.parametrize("action", Action)
def test_an_unknown_client_fits_no_range(action):
    assert specificity(rule(action), ANY_NAME, FULL._replace(client=None)) is None


def test_a_rule_of_a_pack_is_less_specific_only_between_equals():
    ours, theirs = (specificity(rule(from_pack=pack), ANY_NAME, FULL) for pack in (False, True))
    assert ours > theirs
    assert ours[:-1] == theirs[:-1]


def test_a_narrower_range_of_ports_is_more_specific():
    assert narrowness(PortRange(443, 443)) > narrowness(PortRange(1, 65535)) > 0
