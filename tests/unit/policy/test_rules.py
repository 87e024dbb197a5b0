"""Rules of a file to rules of the core: groups, lists, times and answers."""

from ipaddress import ip_address, ip_network
from zoneinfo import ZoneInfo

import pytest
from unit.policy.policies import name_list

from enforcer.policy.document import PolicyDocument
from enforcer.policy.model import Action, LocalRecord, Plane, Refusal, Source
from enforcer.policy.rules import NO_REASON, RuleReader
from enforcer.policy.source import Located, PolicyError, Problem
from enforcer.policy.time_window import TimeWindow

LAB = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
LIST = name_list(suffix=["a.example"])


def read(rule, **places):
    """The one rule of a policy, and the reader; ``places`` gets where lists are named."""
    located = Located("p.yaml", f"version: 1\ndefault: allow\nrules:\n  - {{{rule}}}\n")
    document = located.validate(PolicyDocument)

    def open_list(name, place):
        if name != "l.txt":
            raise PolicyError([Problem(located.source(place), name, "not there", "correct it")])
        places["asked"] = place
        return LIST

    reader = RuleReader(located, {"lab": LAB}, open_list)
    [found] = reader.read(document.rules, from_pack=False)
    return found, reader


def rule(match="{names: [a.example]}", more=""):
    return read(f"id: r, action: block, match: {match}{more}")[0]


def test_a_rule_has_its_line_and_a_reason():
    found = rule()
    assert (found.source, found.reason) == (Source("p.yaml", 4), NO_REASON)
    assert (found.action, found.refusal, found.passthru) == (Action.BLOCK, Refusal.NXDOMAIN, False)


def test_a_group_stands_for_its_ranges():
    found = rule("{clients: [198.51.100.7, lab]}")
    assert found.match.clients == (ip_network("198.51.100.7/32"), *LAB)


def test_passthru_is_an_allow_that_ends_the_search():
    found, _ = read("id: r, action: passthru, match: {names: [a.example]}")
    assert (found.action, found.passthru) == (Action.ALLOW, True)


@pytest.mark.parametrize(
    ("written", "refusal", "sinkhole", "cname", "records"),
    [
        ("drop", Refusal.DROP, (), "", ()),
        ("tcp_only", Refusal.TCP_ONLY, (), "", ()),
        ("{sinkhole: [192.0.2.1]}", Refusal.SINKHOLE, (ip_address("192.0.2.1"),), "", ()),
        ("{cname: B.example}", Refusal.CNAME, (), "b.example", ()),
        ("{records: [CNAME b.example.]}", Refusal.CNAME, (), "b.example", ()),
        ("{records: [9 TXT x]}", Refusal.LOCAL_DATA, (), "", (LocalRecord(16, 9, b"\x01x"),)),
    ],
)
def test_a_lookup_is_answered_as_it_is_written(written, refusal, sinkhole, cname, records):
    found = rule(more=f", refusal: {written}")
    assert (found.refusal, found.sinkhole) == (refusal, sinkhole)
    assert (found.cname, found.records) == (cname, records)


def test_an_answer_of_another_kind_is_for_lookups_only():
    assert rule(more=", refusal: {cname: b.example}").planes == (Plane.DNS,)
    assert rule(more=", refusal: {sinkhole: [192.0.2.1]}").planes == ()
    assert rule("{names: [a.example], planes: [tls, dns]}").planes == (Plane.TLS, Plane.DNS)


@pytest.mark.parametrize("brackets", ["{}", "[{}]"])
def test_times_are_one_mapping_or_a_list_of_them(brackets):
    when = "{days: [mon, fri], from: '22:00', to: '06:00', timezone: Europe/Berlin}"
    found = rule(f"{{when: {brackets.replace('{}', when)}}}")
    window = TimeWindow(frozenset({0, 4}), 22 * 60, 6 * 60, ZoneInfo("Europe/Berlin"))
    assert found.match.windows == (window,)


def test_without_days_and_times_it_is_the_whole_week():
    found = rule("{when: {timezone: UTC}}")
    assert found.match.windows == (TimeWindow(frozenset(range(7)), 0, 1440, ZoneInfo("UTC")),)


def test_a_list_is_opened_by_its_name_and_place():
    assert rule("{lists: [l.txt]}").match.lists == (LIST,)


def test_every_fault_of_a_rule_is_gathered():
    _, reader = read(
        "id: r, action: block, match: {clients: [lob], lists: [m.txt], when: {timezone: Nowhere}}"
    )
    assert [(p.key, p.source.line) for p in reader.problems] == [
        ("m.txt", 4),
        ("rules[0].match.clients[0]", 4),
        ("rules[0].match.when.timezone", 4),
    ]
