"""What a file goes through before a plane may see it."""

import pytest

from enforcer.policy.admit import admit, admit_policy
from enforcer.policy.load import load_policy
from enforcer.policy.names import to_wire
from enforcer.policy.source import PolicyError

HEAD = "version: 1\ndefault: allow\ninclude: [packs/ngrok.yaml]\n"


def test_the_embedded_default_is_admitted():
    policy = admit_policy()
    assert policy.policy.digest == load_policy().digest
    assert policy.dns_blocked


def test_the_fast_path_has_names_that_are_blocked_for_everybody(policy_from):
    policy = policy_from(
        HEAD
        + "rules:\n"
        + "  - {id: a, action: block, match: {names: [a.example]}}\n"
        + "  - {id: b, action: block, match: {names: [b.example], ports: [22]}}\n"
        + "  - {id: c, action: allow, match: {names: [c.example]}}\n"
    )
    ours = {name for name in ("a", "b", "c") if to_wire(f"{name}.example") in policy.dns_blocked}
    assert ours == {"a"}
    assert policy.dns_blocked[to_wire("a.example")].rule == "a"


def test_a_name_that_some_client_may_look_up_is_not_on_the_fast_path(policy_from):
    policy = policy_from(
        HEAD
        + "rules:\n"
        + "  - {id: a, action: block, match: {names: [a.example]}}\n"
        + "  - {id: vip, action: allow, match: {names: [a.example], clients: [192.0.2.7]}}\n"
    )
    assert to_wire("a.example") not in policy.dns_blocked
    assert to_wire("connect.ngrok-agent.com") in policy.dns_blocked


def test_monitor_mode_has_no_fast_path(policy_from):
    assert not policy_from(HEAD + "mode: monitor\n").dns_blocked


def test_warnings_are_on_the_result_and_errors_are_raised(write_policy):
    url = "connect_urls: [{host: connect.example.com, issuer: ngrok}]\n"
    path = write_policy("version: 1\ndefault: allow\n" + url)
    assert len(admit(load_policy(path)).warnings) == 1
    path = write_policy("version: 1\ndefault: block\n" + url)
    with pytest.raises(PolicyError, match="revocation list"):
        admit(load_policy(path))
