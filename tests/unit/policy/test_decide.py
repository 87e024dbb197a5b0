"""The precedence, sentence by sentence; test_decide_fuzz.py holds it against an oracle."""

from ipaddress import ip_address

import pytest

from enforcer.policy.decide import decide
from enforcer.policy.model import (
    Action,
    CertificateCheck,
    CertificateFact,
    LocalRecord,
    Plane,
    Protocol,
    Refusal,
    Request,
)

HOST = "connect.example.com"
HEAD = """\
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls:
  - host: connect.example.com
    issuer: ngrok
    region_hosts: [tunnel.us.connect.example.com]
rules:
"""
BASE = HEAD.replace("rules:\n", "")
OTHER = ip_address("198.51.100.9")
# 2026-11-24 12:00:00 UTC
NOON_S = 1_795_521_600.0


def _rule(rule_id, action, match, more=""):
    return f"  - id: {rule_id}\n    action: {action}\n    match: {match}\n{more}"


def tls(name, port=443, **facts):
    return Request(Plane.TLS, name, port=port, **{"protocol": Protocol.TLS, **facts})


def dns(name, **facts):
    return Request(Plane.DNS, name, **facts)


def outcome(policy, request):
    verdict = decide(policy, request)
    return verdict.action.value, verdict.rule


def test_every_verdict_names_a_rule_and_where_it_is_written(policy_from):
    policy = policy_from(BASE)
    verdict = decide(policy, dns("unheard-of.example"))
    assert (verdict.action, verdict.rule) == (Action.ALLOW, "default")
    assert (verdict.source.file, verdict.source.line) == (policy.policy.source.file, 2)
    assert "default" in verdict.reason


def test_connect_url_wins_over_a_pack(policy_from):
    pack = """\
    version: 1
    rules:
      - id: all-of-example
        action: block
        match: {names: [connect.example.com], ports: [443], protocols: [tls]}
      - id: all-clients
        action: block
        match: {clients: [0.0.0.0/0]}
    """
    policy = policy_from(
        BASE.replace("packs/ngrok.yaml", "mine.yaml")
        + "rules:\n"
        + _rule("crl", "allow", "{names: [crl.ngrok-agent.com], clients: [0.0.0.0/0]}"),
        **{"mine.yaml": pack},
    )
    client = ip_address("192.0.2.7")
    assert outcome(policy, tls(HOST, client=client)) == ("allow", f"connect-url:{HOST}:443")
    assert outcome(policy, dns(HOST, client=client)) == ("allow", f"connect-url:{HOST}:443")
    assert outcome(policy, tls("other.example", client=client)) == ("block", "all-clients")


def test_connect_url_loses_to_a_more_specific_rule_of_the_policy(policy_from):
    policy = policy_from(HEAD + _rule("lab", "block", "{clients: [192.0.2.0/24]}"))
    assert outcome(policy, tls(HOST, client=ip_address("192.0.2.7"))) == ("block", "lab")
    assert outcome(policy, tls(HOST, client=OTHER)) == ("allow", f"connect-url:{HOST}:443")


def test_connect_url_wins_over_a_less_specific_rule_of_the_policy(policy_from):
    policy = policy_from(
        HEAD
        + _rule("below", "block", "{suffixes: [example.com]}")
        + _rule("any-port", "block", "{names: [connect.example.com]}")
    )
    assert outcome(policy, tls(HOST)) == ("allow", f"connect-url:{HOST}:443")
    assert outcome(policy, tls(HOST, port=8443)) == ("block", "any-port")
    assert outcome(policy, tls("www.example.com")) == ("block", "below")


def test_a_region_host_is_the_connect_url_too(policy_from):
    verdict = decide(policy_from(BASE), tls("tunnel.us.connect.example.com"))
    assert verdict.rule == f"connect-url:{HOST}:443"
    assert verdict.verify is verdict.connect_url is not None


@pytest.mark.parametrize(
    ("more_specific", "less_specific"),
    [
        ("{clients: [192.0.2.7]}", "{clients: [192.0.2.0/24], names: [a.b.example], ports: [443]}"),
        ("{clients: [192.0.2.0/24]}", "{names: [a.b.example], ports: [443], protocols: [tls]}"),
        ("{names: [a.b.example]}", "{patterns: ['*.b.example'], ports: [443]}"),
        ("{names: [a.b.example]}", "{suffixes: [a.b.example], addresses: [198.51.100.9]}"),
        ("{patterns: ['*.b.example']}", "{suffixes: [b.example]}"),
        ("{suffixes: [b.example]}", "{patterns: ['*.*.example']}"),
        ("{suffixes: [b.example]}", "{suffixes: [example]}"),
        ("{patterns: ['a.*.example']}", "{patterns: ['*.*.example']}"),
        ("{suffixes: [example]}", "{addresses: [198.51.100.9], ports: [443], protocols: [tls]}"),
        ("{addresses: [198.51.100.0/24]}", "{addresses: [198.51.0.0/16], ports: [443]}"),
        ("{addresses: [198.51.0.0/16]}", "{ports: [443], protocols: [tls]}"),
        ("{ports: [443]}", "{ports: [400-500], protocols: [tls]}"),
        ("{ports: [443], protocols: [tls]}", "{ports: [443]}"),
        ("{ports: [1-65535]}", "{protocols: [tls]}"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_more_specific_rule_wins_in_any_order(policy_from, more_specific, less_specific, order):
    rules = [_rule("more", "allow", more_specific), _rule("less", "block", less_specific)]
    policy = policy_from("version: 1\ndefault: block\nrules:\n" + "".join(rules[::order]))
    request = tls("a.b.example", client=ip_address("192.0.2.7"), address=OTHER)
    assert outcome(policy, request) == ("allow", "more")


WHEN = "when: {timezone: UTC, from: '11:00', to: '13:00'}"


@pytest.mark.parametrize(
    ("more_specific", "less_specific"),
    [
        ("{addresses: [198.51.0.0/16]}", "{nsdnames: [ns.example], nsips: [203.0.113.5]}"),
        ("{suffixes: [example]}", "{nsdnames: [ns.example], qtypes: [A]}"),
        ("{nsdnames: [ns.example]}", "{nsdnames: [example], nsips: [203.0.113.5]}"),
        ("{nsdnames: [example]}", "{nsips: [203.0.113.5], qtypes: [A]}"),
        ("{nsips: [203.0.113.0/24]}", "{nsips: [203.0.0.0/16], qtypes: [A]}"),
        ("{nsips: [203.0.0.0/16]}", f"{{qtypes: [A], {WHEN}}}"),
        ("{qtypes: [A]}", f"{{{WHEN}, planes: [dns]}}"),
        (f"{{{WHEN}}}", "{planes: [dns]}"),
        ("{names: [a.b.example], planes: [dns]}", "{names: [a.b.example]}"),
    ],
)
@pytest.mark.parametrize("actions", [("allow", "block"), ("block", "allow")])
@pytest.mark.parametrize("order", [1, -1])
def test_of_lookups_the_more_specific_rule_wins(
    policy_from, more_specific, less_specific, actions, order
):
    rules = [_rule("more", actions[0], more_specific), _rule("less", actions[1], less_specific)]
    policy = policy_from("version: 1\ndefault: monitor\nrules:\n" + "".join(rules[::order]))
    request = dns(
        "a.b.example",
        address=OTHER,
        nsdnames=("a.ns.example",),
        nsips=(ip_address("203.0.113.5"),),
        qtype=1,
        time_s=NOON_S,
    )
    assert outcome(policy, request) == (actions[0], "more")


@pytest.mark.parametrize(
    ("more_specific", "less_specific"),
    [(f"{{{WHEN}}}", "{ports: [443]}"), ("{protocols: [tls]}", "{planes: [tls]}")],
)
def test_a_time_comes_before_a_port_and_a_protocol_before_a_plane(
    policy_from, more_specific, less_specific
):
    rules = _rule("more", "allow", more_specific) + _rule("less", "block", less_specific)
    policy = policy_from("version: 1\ndefault: block\nrules:\n" + rules)
    assert outcome(policy, tls("a.b.example", time_s=NOON_S)) == ("allow", "more")


class TestListsAndZones:
    """What is written comes before what is listed; lists and zones have an order."""

    HEAD = "version: 1\ndefault: allow\n"

    def test_a_written_rule_comes_before_a_list(self, policy_from):
        rules = _rule("listed", "block", "{lists: [l.txt]}") + _rule(
            "written", "monitor", "{suffixes: [a.example]}"
        )
        policy = policy_from(self.HEAD + "rules:\n" + rules, **{"l.txt": "a.example\nb.example\n"})
        assert outcome(policy, dns("x.a.example")) == ("monitor", "written")
        assert outcome(policy, dns("x.b.example")) == ("block", "listed")

    def test_a_longer_name_in_a_list_comes_before_a_written_rule(self, policy_from):
        rules = _rule("listed", "block", "{lists: [l.txt]}") + _rule(
            "written", "allow", "{suffixes: [example]}"
        )
        policy = policy_from(self.HEAD + "rules:\n" + rules, **{"l.txt": "a.example\n"})
        assert outcome(policy, dns("a.example")) == ("block", "listed")
        assert outcome(policy, dns("b.example")) == ("allow", "written")

    def test_a_pack_that_is_written_comes_before_a_list_of_the_policys_own(self, policy_from):
        text = self.HEAD + "include: [p.yaml]\nrules:\n"
        pack = "version: 1\nrules:\n" + _rule("pack", "monitor", "{suffixes: [a.example]}")
        policy = policy_from(
            text + _rule("own", "block", "{lists: [l.txt]}"),
            **{"p.yaml": pack, "l.txt": "a.example\n"},
        )
        assert outcome(policy, dns("a.example")) == ("monitor", "pack")

    def test_the_first_of_two_lists_decides(self, policy_from):
        """An order that the ids do not have."""
        rules = _rule("z-first", "allow", "{lists: [l.txt]}") + _rule(
            "a-second", "block", "{lists: [m.txt]}"
        )
        policy = policy_from(
            self.HEAD + "rules:\n" + rules,
            **{"l.txt": "a.example\n", "m.txt": "a.example\nb.a.example\n"},
        )
        assert outcome(policy, dns("a.example")) == ("allow", "z-first")
        assert outcome(policy, dns("b.a.example")) == ("block", "a-second")

    def test_a_list_of_the_policys_own_comes_before_one_of_a_pack(self, policy_from):
        pack = "version: 1\nrules:\n" + _rule("pack", "block", "{lists: [l.txt]}")
        policy = policy_from(
            self.HEAD + "include: [p.yaml]\nrules:\n" + _rule("own", "allow", "{lists: [l.txt]}"),
            **{"p.yaml": pack, "l.txt": "a.example\n"},
        )
        assert outcome(policy, dns("a.example")) == ("allow", "own")

    def test_the_first_zone_that_matches_speaks_for_all_zones(self, policy_from):
        """As in RPZ: whatever a later zone says, and however closely."""
        policy = policy_from(
            self.HEAD + "rpz: [{id: first, file: 1.rpz}, {id: second, file: 2.rpz}]\n",
            **{
                "1.rpz": "*.example CNAME rpz-passthru.\n",
                "2.rpz": "a.example CNAME .\nb.test CNAME .\n",
            },
        )
        assert outcome(policy, dns("a.example")) == ("allow", "first:passthru")
        assert decide(policy, dns("a.example")).passthru
        assert outcome(policy, dns("b.test")) == ("block", "second:nxdomain")

    def test_a_list_comes_before_a_zone(self, policy_from):
        policy = policy_from(
            self.HEAD
            + "rules:\n"
            + _rule("listed", "allow", "{lists: [l.txt]}")
            + "rpz: [{id: feed, file: 1.rpz}]\n",
            **{"l.txt": "0.0.0.0 a.example\n", "1.rpz": "a.example CNAME .\nb.example CNAME .\n"},
        )
        assert outcome(policy, dns("a.example")) == ("allow", "listed")
        assert outcome(policy, dns("b.example")) == ("block", "feed:nxdomain")

    def test_a_connect_url_wins_over_a_zone(self, policy_from):
        policy = policy_from(
            BASE + "rpz: [{id: feed, file: 1.rpz}]\n",
            **{"1.rpz": "*.example.com CNAME .\nconnect.example.com CNAME .\n"},
        )
        assert outcome(policy, dns(HOST)) == ("allow", f"connect-url:{HOST}:443")
        assert outcome(policy, dns("www.example.com")) == ("block", "feed:nxdomain")


def test_of_two_that_name_servers_fit_equally_the_block_counts(policy_from):
    """No tie, since no zone need have both."""
    rules = _rule("a", "allow", "{nsdnames: [one.example]}") + _rule(
        "b", "block", "{nsdnames: [two.example]}"
    )
    policy = policy_from("version: 1\ndefault: monitor\nrules:\n" + rules)
    both = dns("a.test", nsdnames=("ns.one.example", "ns.two.example"))
    assert outcome(policy, both) == ("block", "b")


def test_what_only_a_lookup_tells_never_opens_another_plane(policy_from):
    rules = _rule("ns", "allow", "{nsdnames: [ns.example]}") + _rule(
        "type", "allow", "{names: [a.example], qtypes: [TXT]}"
    )
    policy = policy_from("version: 1\ndefault: block\nrules:\n" + rules)
    assert outcome(policy, dns("b.example")) == ("allow", "ns")
    assert outcome(policy, dns("b.example", nsdnames=("ns.test",))) == ("block", "default")
    assert outcome(policy, tls("b.example")) == ("block", "default")
    assert outcome(policy, tls("a.example")) == ("block", "default")


def test_a_question_for_any_type_is_one_for_the_type_that_is_blocked(policy_from):
    rules = _rule("no-txt", "block", "{names: [a.example], qtypes: [TXT]}") + _rule(
        "may-a", "allow", "{names: [b.example], qtypes: [A]}"
    )
    policy = policy_from("version: 1\ndefault: monitor\nrules:\n" + rules)
    assert outcome(policy, dns("a.example", qtype=255)) == ("block", "no-txt")
    assert outcome(policy, dns("a.example", qtype=1)) == ("monitor", "default")
    assert outcome(policy, dns("b.example", qtype=255)) == ("monitor", "default")


def test_a_rule_holds_in_its_time_only(policy_from):
    policy = policy_from(HEAD + _rule("r", "block", f"{{names: [a.example], {WHEN}}}"))
    assert outcome(policy, dns("a.example", time_s=NOON_S)) == ("block", "r")
    assert outcome(policy, dns("a.example", time_s=NOON_S + 3600)) == ("allow", "default")
    assert policy.depends_on_time


def test_what_is_to_be_asked_over_tcp_is_answered_over_tcp(policy_from):
    rule = _rule("r", "block", "{names: [a.example]}", "    refusal: tcp_only\n")
    policy = policy_from(HEAD + rule)
    over_udp = decide(policy, dns("a.example"))
    assert (over_udp.action, over_udp.refusal) == (Action.BLOCK, Refusal.TCP_ONLY)
    assert outcome(policy, dns("a.example", over_tcp=True)) == ("allow", "r")
    assert not decide(policy, dns("a.example", over_tcp=True)).recorded


@pytest.mark.parametrize("refusal", ["tcp_only", "{cname: b.example}", "{records: [A 192.0.2.1]}"])
def test_what_rewrites_a_lookup_blocks_no_connection(policy_from, refusal):
    rule = _rule("r", "block", "{names: [a.example]}", f"    refusal: {refusal}\n")
    policy = policy_from(HEAD + rule)
    assert outcome(policy, dns("a.example")) == ("block", "r")
    assert outcome(policy, tls("a.example")) == ("allow", "default")


def test_a_verdict_carries_what_a_lookup_is_answered_with(policy_from):
    policy = policy_from(
        HEAD
        + _rule("to", "block", "{names: [a.example]}", "    refusal: {cname: Stop.Example}\n")
        + _rule(
            "data", "block", "{names: [b.example]}", "    refusal: {records: [9 A 192.0.2.1]}\n"
        )
        + _rule("pass", "passthru", "{names: [c.example]}")
    )
    to, data, passed = (decide(policy, dns(f"{name}.example")) for name in "abc")
    assert (to.refusal, to.cname) == (Refusal.CNAME, "stop.example")
    assert (data.refusal, data.records) == (
        Refusal.LOCAL_DATA,
        (LocalRecord(1, 9, b"\xc0\x00\x02\x01"),),
    )
    assert (passed.action, passed.passthru, to.passthru) == (Action.ALLOW, True, False)


def test_clients_of_one_class_get_one_verdict(policy_from):
    text = BASE.replace("include", "groups: {lab: [192.0.2.0/24, '2001:db8::/32']}\ninclude")
    policy = policy_from(text + "rules:\n" + _rule("r", "block", "{clients: [lab]}"))
    inside, also, outside = map(ip_address, ("192.0.2.1", "192.0.2.2", "198.51.100.1"))
    assert policy.client_class(inside) == policy.client_class(also)
    assert policy.client_class(inside) != policy.client_class(outside)
    assert policy.client_class(outside) == policy.client_class(None)
    assert outcome(policy, dns("a.example", client=ip_address("2001:db8::1"))) == ("block", "r")


def test_the_policy_knows_which_names_it_is_about(policy_from):
    policy = policy_from(
        HEAD + _rule("r", "block", "{lists: [l.txt]}") + _rule("p", "block", "{ports: [25]}"),
        **{"l.txt": "listed.example\n"},
    )
    assert policy.is_guarded(HOST)
    assert policy.is_guarded("x.listed.example")
    assert policy.is_guarded("connect.us.ngrok-agent.com")
    assert not policy.is_guarded("www.example")


def test_between_equals_the_policy_beats_a_pack(policy_from):
    policy = policy_from(HEAD + _rule("ours", "allow", "{names: [connect.us.ngrok-agent.com]}"))
    assert outcome(policy, tls("connect.us.ngrok-agent.com")) == ("allow", "ours")
    assert outcome(policy, tls("connect.eu.ngrok-agent.com")) == ("block", "ngrok-connect")


def test_a_more_specific_rule_of_a_pack_beats_the_policy(policy_from):
    policy = policy_from(HEAD + _rule("ours", "block", "{suffixes: [ngrok.com], protocols: [tls]}"))
    assert outcome(policy, tls("dashboard.ngrok.com")) == ("allow", "ngrok-site")
    assert outcome(policy, tls("www.ngrok.com")) == ("block", "ours")


def test_a_lookup_does_not_fail_for_the_sake_of_a_port(policy_from):
    """With default block, the CRL host must be resolved before port 80 can be dialled."""
    policy = policy_from(BASE.replace("default: allow", "default: block"))
    assert outcome(policy, dns("crl.ngrok-agent.com")) == ("allow", "ngrok-crl")
    assert outcome(policy, tls("crl.ngrok-agent.com", port=80, protocol=Protocol.HTTP)) == (
        "allow",
        "ngrok-crl",
    )
    assert outcome(policy, tls("crl.ngrok-agent.com")) == ("block", "default")


def test_a_block_waits_for_the_facts_that_it_is_about(policy_from):
    policy = policy_from(HEAD + _rule("r", "block", "{names: [a.example], ports: [22]}"))
    assert outcome(policy, dns("a.example")) == ("allow", "default")
    assert outcome(policy, tls("a.example", port=22)) == ("block", "r")


def test_a_monitor_that_waits_for_a_fact_is_not_on_record(policy_from):
    policy = policy_from(HEAD + _rule("r", "monitor", "{names: [a.example], ports: [22]}"))
    waiting = decide(policy, dns("a.example"))
    assert (waiting.action, waiting.rule, waiting.recorded) == (Action.ALLOW, "r", False)
    assert decide(policy, tls("a.example", port=22)).action is Action.MONITOR


@pytest.mark.parametrize("rule_id", ["a", "z"])
def test_while_the_port_is_unknown_the_connect_url_is_named(policy_from, rule_id):
    """Both rules let the lookup through, and would be equal on a port of their own."""
    match = "{names: [connect.example.com], ports: [8443]}"
    policy = policy_from(HEAD + _rule(rule_id, "monitor", match))
    assert outcome(policy, dns(HOST)) == ("allow", f"connect-url:{HOST}:443")
    assert outcome(policy, tls(HOST, port=8443)) == ("monitor", rule_id)


def test_an_unknown_client_is_in_no_client_range(policy_from):
    policy = policy_from(HEAD + _rule("r", "allow", "{clients: [0.0.0.0/0, '::/0']}"))
    assert outcome(policy, dns("connect.ngrok-agent.com")) == ("block", "ngrok-connect")


def test_a_name_longer_than_any_is_matched_by_its_end(policy_from):
    """What arrives in a Host field has no bound of its own."""
    policy = policy_from(HEAD + _rule("r", "block", "{suffixes: [evil.example]}"))
    assert outcome(policy, tls("a." * 30_000 + "evil.example")) == ("block", "r")
    assert outcome(policy, tls("." * 60_000)) == ("allow", "default")


class TestConnectUrl:
    """What a Connect URL must do before it is let through."""

    def test_it_is_allowed_and_must_be_verified(self, policy_from):
        verdict = decide(policy_from(BASE), tls(HOST))
        assert verdict.action is Action.ALLOW
        assert str(verdict.verify) == f"{HOST}:443"
        assert verdict.recorded

    def test_a_lookup_has_nothing_to_verify(self, policy_from):
        verdict = decide(policy_from(BASE), dns(HOST))
        assert (verdict.action, verdict.verify) == (Action.ALLOW, None)

    def test_an_accepted_certificate_lets_it_through(self, policy_from):
        fact = CertificateFact(CertificateCheck.ACCEPTED, "issued by ngrok")
        verdict = decide(policy_from(BASE), tls(HOST, certificate=fact))
        assert (verdict.action, verdict.reason) == (Action.ALLOW, "issued by ngrok")
        assert verdict.verify is None

    @pytest.mark.parametrize("on_failure", ["open", "closed"])
    def test_a_wrong_issuer_blocks_whatever_on_failure_says(self, policy_from, on_failure):
        policy = policy_from(BASE + f"on_failure: {{tls: {on_failure}}}\n")
        fact = CertificateFact(CertificateCheck.REFUSED, "issued by somebody else")
        verdict = decide(policy, tls(HOST, certificate=fact))
        assert (verdict.action, verdict.reason) == (Action.BLOCK, "issued by somebody else")
        assert verdict.rule == f"connect-url:{HOST}:443"

    @pytest.mark.parametrize(
        ("on_failure", "action"), [("open", Action.MONITOR), ("closed", Action.BLOCK)]
    )
    def test_a_check_that_could_not_be_made_is_on_failures_business(
        self, policy_from, on_failure, action
    ):
        policy = policy_from(BASE + f"on_failure: {{tls: {on_failure}}}\n")
        fact = CertificateFact(CertificateCheck.UNAVAILABLE, "no answer")
        verdict = decide(policy, tls(HOST, certificate=fact))
        assert verdict.action is action
        assert verdict.recorded
        assert "no answer" in verdict.reason

    def test_no_rule_spares_it_the_check(self, policy_from):
        policy = policy_from(HEAD + _rule("vip", "allow", "{clients: [192.0.2.7]}"))
        client = ip_address("192.0.2.7")
        assert decide(policy, tls(HOST, client=client)).verify is not None
        fact = CertificateFact(CertificateCheck.REFUSED, "issued by somebody else")
        assert decide(policy, tls(HOST, client=client, certificate=fact)).blocks

    @pytest.mark.parametrize("plane", [Plane.TLS, Plane.CONNECT, Plane.SOCKS5])
    @pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.SSH, Protocol.UNKNOWN])
    def test_nothing_but_tls_is_spoken_to_it(self, policy_from, plane, protocol):
        """ngrok takes SSH on 443 too, and SSH does not say which host it wants."""
        verdict = decide(policy_from(BASE), Request(plane, HOST, port=443, protocol=protocol))
        assert verdict.blocks
        assert "over TLS only" in verdict.reason

    def test_plain_http_to_it_is_blocked(self, policy_from):
        assert decide(policy_from(BASE), Request(Plane.HTTP, HOST, port=443)).blocks

    @pytest.mark.parametrize("port", [22, 2222])
    def test_ssh_to_its_host_is_blocked_on_every_port(self, policy_from, port):
        verdict = decide(policy_from(BASE), tls(HOST, port=port, protocol=Protocol.SSH))
        assert (verdict.action, verdict.rule) == (Action.BLOCK, f"connect-url:{HOST}:443:ssh")
        assert verdict.explain(f"{HOST}:443").endswith(f"; use {HOST}:443")

    def test_the_policy_may_open_ssh_to_its_host(self, policy_from):
        match = "{names: [connect.example.com], ports: [22]}"
        policy = policy_from(HEAD + _rule("ssh", "allow", match))
        assert outcome(policy, tls(HOST, port=22, protocol=Protocol.SSH)) == ("allow", "ssh")
        assert outcome(policy, tls(HOST, port=443, protocol=Protocol.SSH))[0] == "block"

    def test_dedicated_addresses_are_the_only_ones(self, policy_from):
        addresses = "    addresses: [203.0.113.0/29]\n"
        policy = policy_from(BASE + addresses)
        inside, outside = ip_address("203.0.113.2"), ip_address("203.0.113.9")
        assert decide(policy, dns(HOST)).action is Action.ALLOW
        assert decide(policy, dns(HOST, address=inside)).action is Action.ALLOW
        assert decide(policy, dns(HOST, address=outside)).blocks
        verdict = decide(policy, tls(HOST, address=outside))
        assert verdict.blocks
        assert "not a dedicated address" in verdict.reason

    def test_two_ports_of_one_host_are_two_connect_urls(self, policy_from):
        second = (
            "  - host: connect.example.com\n    port: 8443\n    issuer: letsencrypt\n"
            "    addresses: [203.0.113.0/29]\n"
        )
        policy = policy_from(BASE + second)
        assert decide(policy, tls(HOST, port=8443)).verify.issuer.name == "letsencrypt"
        assert decide(policy, tls(HOST, port=443)).verify.issuer.name == "ngrok"
        # A lookup does not say which; an address that either may have will do.
        assert not decide(policy, dns(HOST, address=OTHER)).blocks
        assert decide(policy, tls(HOST, port=8443, address=OTHER)).blocks


class TestMonitorMode:
    def test_it_says_what_it_would_have_done(self, policy_from):
        policy = policy_from(BASE + "mode: monitor\n")
        verdict = decide(policy, tls("connect.ngrok-agent.com"))
        assert (verdict.action, verdict.rule) == (Action.MONITOR, "ngrok-connect")
        assert verdict.reason.startswith("would block: ")
        assert verdict.recorded


def test_a_block_carries_how_the_lookup_is_answered(policy_from):
    sinkhole = "    refusal: {sinkhole: [192.0.2.1, '2001:db8::1']}\n"
    policy = policy_from(HEAD + _rule("r", "block", "{names: [a.example]}", sinkhole))
    verdict = decide(policy, dns("a.example"))
    assert verdict.refusal is Refusal.SINKHOLE
    assert verdict.sinkhole == (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
