"""Rules found by name, range and name server, without asking each of them."""

from ipaddress import ip_address, ip_network

import pytest
from unit.policy.policies import name_list

from enforcer.policy.index import NameIndex, NamelessIndex
from enforcer.policy.model import Action, Match, Plane, PortRange, Protocol, Request, Rule, Source
from enforcer.policy.specificity import EXACT, SUFFIX

LIST = name_list(exact=["only.example"], suffix=["all.example"], below=["under.example"])


def rule(rule_id="r", action=Action.BLOCK, **match):
    rank = 1 if "lists" in match else 0
    return Rule(rule_id, action, Match(**match), "because", Source("p.yaml", 1), rank=rank)


PORT_RULE = rule("port", names=("b.example",), ports=(PortRange(1, 2),))


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("only.example", (2, EXACT)),
        ("x.only.example", None),
        ("all.example", (2, SUFFIX)),
        ("x.y.all.example", (2, SUFFIX)),
        ("xall.example", None),
        ("under.example", None),
        ("x.under.example", (2, SUFFIX)),
        ("x.y.under.example", (2, SUFFIX)),
        ("example", None),
        ("", None),
        ("a." * 200 + "all.example", (2, SUFFIX)),
        ("a." * 200 + "only.example", None),
        ("." * 255, None),
    ],
)
def test_an_entry_of_a_list_fits_by_its_kind(name, fit):
    found = NameIndex([rule(lists=(LIST,))]).find(name)
    assert [candidate.fit for candidate in found] == ([fit] if fit else [])


def test_the_closest_entry_of_a_list_counts():
    entries = name_list(suffix=["example", "b.example"], below=["c.example"])
    index = NameIndex([rule(lists=(entries,))])
    assert [candidate.fit.labels for candidate in index.find("a.b.example")] == [2]
    assert [candidate.fit.labels for candidate in index.find("a.c.example")] == [2]
    assert [candidate.fit.labels for candidate in index.find("c.example")] == [1]


def test_what_stands_in_a_list_ranks_below_what_is_written():
    both = rule(names=("only.example",), lists=(LIST,))
    assert [candidate.rank for candidate in NameIndex([both]).find("only.example")] == [0, 1]


def test_a_rule_about_nothing_but_names_has_its_key_ready():
    index = NameIndex(
        [
            rule("plain", names=("a.example",)),
            rule("port", names=("b.example",), ports=(PortRange(1, 2),)),
        ]
    )
    [plain], [port] = index.find("a.example"), index.find("b.example")
    assert plain.key is not None
    assert port.key is None


def test_names_are_settled_where_all_exact_rules_are_about_nothing_else():
    index = NameIndex(
        [
            rule("plain", names=("a.example", "b.example")),
            rule("port", names=("b.example",), ports=(PortRange(1, 2),)),
        ]
    )
    assert [name for name, _ in index.settled()] == ["a.example"]


RANGES = NamelessIndex(
    [
        rule("client", clients=(ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"))),
        rule("address", addresses=(ip_network("192.0.2.0/24"),)),
        rule("may", Action.ALLOW, addresses=(ip_network("192.0.2.0/24"),)),
        rule("ns", nsdnames=("ns.example",)),
        rule("may-ns", Action.ALLOW, nsdnames=("ns.example",)),
        rule("nsip", nsips=(ip_network("192.0.2.0/24"),)),
        rule("may-nsip", Action.MONITOR, nsips=(ip_network("192.0.2.0/24"),)),
        rule("port", ports=(PortRange(25, 25),)),
        rule("plane", planes=(Plane.DNS,)),
    ]
)


UNKNOWN = ("may", "may-ns", "may-nsip")


@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        ({}, ["plane", *UNKNOWN]),
        ({"port": 25}, ["plane", "port", *UNKNOWN]),
        ({"protocol": Protocol.SSH}, ["plane", "port", *UNKNOWN]),
        (
            {"client": ip_address("10.1.2.3")},
            ["plane", "client", "client", *UNKNOWN],
        ),
        ({"address": ip_address("192.0.2.1")}, ["plane", "address", "may", "may-ns", "may-nsip"]),
        ({"address": ip_address("::1")}, ["plane", "may-ns", "may-nsip"]),
        ({"nsdnames": ("x.ns.example", "other")}, ["plane", "may", "ns", "may-ns", "may-nsip"]),
        ({"nsdnames": ()}, ["plane", "may", "may-nsip"]),
        ({"nsips": (ip_address("192.0.2.1"),)}, ["plane", "may", "may-ns", "nsip", "may-nsip"]),
    ],
)
def test_nameless_rules_are_found_by_what_they_are_about(facts, rules):
    """What lets through is found while a fact is not known, too."""
    found = RANGES.find(Request(Plane.DNS, "a.example", **facts))
    assert [candidate.rule.id for candidate in found] == rules


def test_a_rule_of_many_ranges_is_measured_by_the_one_that_holds():
    request = Request(Plane.TLS, client=ip_address("10.1.2.3"))
    found = [each.rule.match.clients for each in RANGES.find(request) if each.rule.id == "client"]
    assert found == [(ip_network("10.1.0.0/16"),), (ip_network("10.0.0.0/8"),)]
