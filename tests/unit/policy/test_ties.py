"""Ties: what is one, what is none; test_decide_fuzz.py shows that none is missed."""

from dataclasses import replace

import pytest
from hypothesis import given
from unit.policy.policies import rules

from enforcer.policy.source import PolicyError
from enforcer.policy.ties import find_ties

HEAD = "version: 1\ndefault: allow\nrules:\n"


def _rules(left, right):
    return (
        f"  - {{id: left, action: allow, match: {left}}}\n"
        f"  - {{id: right, action: block, match: {right}}}\n"
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("{names: [a.example]}", "{names: [A.example., b.example]}"),
        ("{suffixes: [example]}", "{suffixes: [example, example.org]}"),
        ("{patterns: ['a.*']}", "{patterns: ['*.b']}"),
        ("{addresses: [10.0.0.0/8]}", "{addresses: ['::ffff:10.0.0.0/104']}"),
        ("{ports: [443]}", "{ports: ['443', 80]}"),
        ("{ports: [1-100]}", "{ports: [100-199]}"),
        ("{protocols: [tls, ssh]}", "{protocols: [ssh]}"),
        ("{names: [a.example], ports: [443]}", "{ports: [443], names: [a.example]}"),
        ("{clients: [10.0.0.1]}", "{clients: [10.0.0.1/32]}"),
        ("{nsdnames: [a.example]}", "{nsdnames: [b.example, a.example]}"),
        ("{nsips: [10.0.0.0/8]}", "{nsips: [10.0.0.0/8]}"),
        ("{qtypes: [A]}", "{qtypes: [TYPE1]}"),
        ("{planes: [dns, tls]}", "{planes: [tls]}"),
        ("{when: {days: [mon], timezone: UTC}}", "{when: {days: [mon, tue], timezone: UTC}}"),
        ("{when: {days: [mon], timezone: UTC}}", "{when: {days: [tue], timezone: Europe/Rome}}"),
    ],
)
def test_equal_for_some_request_is_a_tie(policy_from, left, right):
    with pytest.raises(PolicyError) as caught:
        policy_from(HEAD + _rules(left, right))
    [problem] = caught.value.problems
    assert (problem.key, problem.source.line) == ("right", 5)
    assert "left" in problem.problem


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("{names: [a.example]}", "{names: [b.example]}"),
        ("{names: [a.example]}", "{suffixes: [a.example]}"),
        ("{patterns: ['a.*.example']}", "{patterns: ['*.*.example']}"),
        ("{patterns: ['a*.example']}", "{patterns: ['b*.example']}"),
        ("{addresses: [10.0.0.0/8]}", "{addresses: [10.0.0.0/9]}"),
        ("{addresses: [10.0.0.0/8]}", "{clients: [10.0.0.0/8]}"),
        ("{ports: [1-100]}", "{ports: [50-151]}"),
        ("{ports: [1-100]}", "{ports: [101-200]}"),
        ("{protocols: [tls]}", "{protocols: [ssh]}"),
        ("{nsdnames: [a.example]}", "{nsdnames: [b.example]}"),
        ("{nsips: [10.0.0.0/8]}", "{nsips: [11.0.0.0/8]}"),
        ("{qtypes: [A]}", "{qtypes: [AAAA]}"),
        ("{planes: [dns]}", "{planes: [tls]}"),
        ("{when: {days: [mon], timezone: UTC}}", "{when: {days: [tue], timezone: UTC}}"),
        ("{names: [a.example]}", "{names: [a.example], ports: [443]}"),
    ],
)
def test_always_more_specific_or_never_both_is_no_tie(policy_from, left, right):
    policy_from(HEAD + _rules(left, right))


def test_a_pack_and_the_policy_never_tie(policy_from):
    pack = "version: 1\nrules: [{id: p, action: allow, match: {names: [a.example]}}]\n"
    text = HEAD.replace("rules:", "include: [p.yaml]\nrules:")
    policy_from(
        text + "  - {id: own, action: block, match: {names: [a.example]}}\n", **{"p.yaml": pack}
    )


def test_lists_and_zones_never_tie(policy_from):
    text = HEAD + _rules("{lists: [l.txt]}", "{lists: [l.txt]}")
    text += "rpz: [{id: y, file: z.rpz}, {id: z, file: z.rpz}]\n"
    policy_from(text, **{"l.txt": "a.example\n", "z.rpz": "a.example CNAME .\n"})


def test_two_packs_may_tie(policy_from):
    pack = "version: 1\nrules: [{id: %s, action: allow, match: {names: [a.example]}}]\n"
    with pytest.raises(PolicyError, match="exactly as specific as p at"):
        policy_from(
            "version: 1\ndefault: allow\ninclude: [p.yaml, q.yaml]\n",
            **{"p.yaml": pack % "p", "q.yaml": pack % "q"},
        )


def test_a_tie_is_told_once(policy_from):
    names = "{names: [a.example, b.example, c.example]}"
    with pytest.raises(PolicyError) as caught:
        policy_from(HEAD + _rules(names, names))
    assert len(caught.value.problems) == 1


@given(rules)
def test_a_rule_ties_with_its_own_copy(rule):
    ordered = rule.zone or not (replace(rule.match, lists=()).has_name or not rule.match.lists)
    assert any(find_ties([rule, replace(rule, id="copy")])) is not bool(ordered)
    assert not any(find_ties([rule]))
