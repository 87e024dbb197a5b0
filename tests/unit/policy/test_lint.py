"""What load refuses and warns of when the rules work together."""

import re

import pytest

from enforcer.policy.lint import DEFAULT_INGRESS, REGIONS
from enforcer.policy.load import builtin_policies
from enforcer.policy.source import PolicyError

URL = "connect_urls: [{host: connect.example.com, issuer: ngrok}]\n"
PACK = "include: [packs/ngrok.yaml]\n"
HEAD = "version: 1\ndefault: allow\n"


def _rule(rule_id, action, match):
    return f"  - id: {rule_id}\n    action: {action}\n    match: {match}\n"


BLOCKED_CRL = {
    "by suffix": HEAD + URL + "rules:\n" + _rule("r", "block", "{suffixes: [ngrok-agent.com]}"),
    "by pattern": HEAD + URL + "rules:\n" + _rule("r", "block", "{patterns: ['crl.*.com']}"),
    "by name": HEAD + URL + "rules:\n" + _rule("r", "block", "{names: [crl.ngrok-agent.com]}"),
    "by port": HEAD + URL + "rules:\n" + _rule("r", "block", "{ports: [80]}"),
    "by protocol": HEAD + URL + "rules:\n" + _rule("r", "block", "{protocols: [http]}"),
    "by default": "version: 1\ndefault: block\n" + URL,
    "for everybody": HEAD
    + PACK
    + URL
    + "rules:\n"
    + _rule("r", "block", "{clients: [0.0.0.0/0], suffixes: [ngrok-agent.com]}"),
    "for some": HEAD
    + PACK
    + URL
    + "rules:\n"
    + _rule("r", "block", "{clients: [10.0.0.0/8, '2001:db8::/32'], ports: [80]}"),
    "in monitor mode": HEAD
    + "mode: monitor\n"
    + URL
    + "rules:\n"
    + _rule("r", "block", "{ports: [80]}"),
}


@pytest.mark.parametrize("text", BLOCKED_CRL.values(), ids=BLOCKED_CRL)
def test_a_connect_url_without_its_crl_is_refused_and_the_remedy_heals_it(policy_from, text):
    with pytest.raises(PolicyError) as caught:
        policy_from(text)
    [problem] = caught.value.problems
    assert "crl.ngrok-agent.com:80 is blocked" in problem.problem
    added = re.search(r"add the rule (\{.*\})$", problem.remedy)
    if added:
        rules = text if "rules:" in text else text + "rules:\n"
        healed = rules + f"  - {added[1]}\n"
    else:
        assert problem.remedy == "take crl.ngrok-agent.com out of this rule"
        healed = text.replace("crl.ngrok-agent.com", "else.example")
    policy_from(healed)


@pytest.mark.parametrize(
    "match",
    [
        "{ports: [80], names: [www.example]}",
        "{suffixes: [ngrok-agent.com], ports: [443]}",
        "{clients: [10.0.0.0/8]}",
        "{suffixes: [ngrok-agent.com]}",
    ],
)
def test_a_policy_that_leaves_the_crl_open_loads(policy_from, match):
    """A client range that is blocked altogether has no agents that need anything."""
    policy_from(HEAD + PACK + URL + "rules:\n" + _rule("r", "block", match))


def test_without_a_connect_url_nothing_is_needed(policy_from):
    assert policy_from("version: 1\ndefault: block\n").warnings == ()


def test_what_agents_would_like_is_a_warning(policy_from):
    rules = "rules:\n" + _rule("r", "block", "{names: [update.ngrok-agent.com], ports: [443]}")
    [warning] = policy_from(HEAD + PACK + URL + rules).warnings
    assert (warning.key, warning.source.line) == ("r", 6)
    assert "agents update themselves" in warning.problem
    assert warning.remedy == "take update.ngrok-agent.com out of this rule"


def test_regions_that_no_rule_covers_are_a_warning(policy_from):
    rules = "rules:\n" + _rule("r", "block", "{patterns: ['connect.*.ngrok-agent.com']}")
    [warning] = policy_from(HEAD + URL + rules).warnings
    told = re.findall(r"[a-z0-9.-]+\.com", warning.problem)
    assert told == [n for n in DEFAULT_INGRESS if not n.startswith("connect.") or len(n) == 23]
    assert warning.remedy.startswith("include packs/ngrok.yaml")


def test_a_default_that_lets_through_covers_nothing(policy_from):
    for default in ("allow", "monitor"):
        [warning] = policy_from(f"version: 1\ndefault: {default}\n").warnings
        assert all(name in warning.problem for name in DEFAULT_INGRESS)


def test_a_region_that_a_rule_lets_through_is_the_policys_own_wish(policy_from):
    rules = "rules:\n" + _rule("r", "allow", "{names: [connect.eu.ngrok-agent.com]}")
    assert policy_from(HEAD + PACK + rules).warnings == ()


def test_a_connect_url_that_nobody_can_use_is_a_warning(policy_from):
    for match in (
        "{names: [connect.example.com], ports: [443], protocols: [tls]}",
        "{clients: [0.0.0.0/0]}",
    ):
        [warning] = policy_from(
            HEAD + PACK + URL + "rules:\n" + _rule("r", "block", match)
        ).warnings
        assert warning.key == "r"
        assert "blocks connect.example.com:443, which is a Connect URL" in warning.problem


@pytest.mark.parametrize(
    "host",
    ["connect.ngrok-agent.com", "tunnel.xx.ngrok.com", "connect.dev-ngrok-agent.com"],
)
def test_the_default_ingress_as_a_connect_url_is_a_warning(policy_from, host):
    text = URL.replace("connect.example.com", host)
    [warning] = policy_from(HEAD + PACK + text).warnings
    assert (warning.key, warning.source.line) == (f"connect-url:{host}:443", 4)
    assert "agents of every account" in warning.problem


def test_the_pack_names_every_region_that_lint_knows():
    pack = (builtin_policies() / "packs/ngrok.yaml").read_text(encoding="utf-8")
    assert len(REGIONS) == 9
    assert all(f"- {name}\n" in pack for name in DEFAULT_INGRESS)


LISTED = """\
version: 1
default: allow
include: [packs/ngrok.yaml]
rules:
  - {id: r, action: block, match: {lists: [l.txt]}}
"""


def test_lines_of_a_list_that_say_nothing_are_warned_of(policy_from):
    content = "a.example\n@@||b.example^\nx y z\n"
    [warning] = policy_from(LISTED, **{"l.txt": content}).warnings
    assert (warning.source.file.endswith("l.txt"), warning.source.line) == (True, 2)
    assert "2 lines are rejected, first '@@||b.example^'" in warning.problem


def test_a_list_without_an_entry_is_warned_of(policy_from):
    [warning] = policy_from(LISTED, **{"l.txt": "# nothing\n"}).warnings
    assert "no entry" in warning.problem


QUARANTINE = """
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls: [{host: connect.example.com, issuer: ngrok}]
rpz: [{id: feed, file: feed.rpz}]
"""


def test_clients_that_a_zone_puts_in_quarantine_are_a_warning(policy_from):
    zone = "32.7.0.0.10.rpz-client-ip CNAME .\n32.8.0.0.10.rpz-client-ip CNAME .\n"
    warnings = policy_from(QUARANTINE, **{"feed.rpz": zone}).warnings
    told = [each for each in warnings if "crl.ngrok-agent.com:80 is blocked" in each.problem]
    [warning] = told
    assert "for clients such as 10.0.0.7" in warning.problem
    assert "clients: [10.0.0.7]" in warning.remedy


def test_a_written_rule_that_does_the_same_is_an_error(policy_from):
    rule = "rules: [{id: r, action: block, match: {clients: [10.0.0.7], ports: [80]}}]\n"
    zone = "ads.example CNAME .\n"
    with pytest.raises(PolicyError, match="revocation list"):
        policy_from(QUARANTINE + rule, **{"feed.rpz": zone})


def test_monitor_mode_is_judged_as_if_enforced(policy_from):
    text = LISTED.replace("lists: [l.txt]", "names: [crl.ngrok-agent.com], ports: [80]")
    url = "connect_urls: [{host: connect.example.com, issuer: ngrok}]\nmode: monitor\n"
    with pytest.raises(PolicyError, match="revocation list"):
        policy_from(text + url)
