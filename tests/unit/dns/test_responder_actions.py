"""What a client gets of a name that is blocked, rewritten, answered here or cut down."""

from ipaddress import ip_address

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from unit.dns.desk import CLIENT, Desk, packet_of

from enforcer.dns.ask import TCP, Ask
from enforcer.dns.packets.cookies import Cookies

POLICY = """
version: 1
default: allow
rules:
  - {id: no-data, action: block, refusal: nodata, match: {names: [nodata.example]}}
  - {id: refused, action: block, refusal: refused, match: {names: [refused.example]}}
  - {id: sink, action: block, refusal: {sinkhole: [192.0.2.9]}, match: {names: [sink.example]}}
  - {id: drop, action: block, refusal: drop, match: {names: [drop.example]}}
  - {id: tcp, action: block, refusal: tcp_only, match: {names: [tcp.example]}}
  - {id: alias, action: block, refusal: {cname: portal.example}, match: {names: [alias.example]}}
  - {id: lured, action: block, refusal: {cname: gone.example}, match: {names: [lure.example]}}
  - {id: itself, action: block, refusal: {cname: self.example}, match: {names: [self.example]}}
  - {id: home, action: block, refusal: {cname: localhost}, match: {names: [home.example]}}
  - id: records
    action: block
    refusal: {records: ["A 192.0.2.7", 'TXT "here"']}
    match: {names: [records.example]}
  - {id: spare, action: passthru, match: {names: [spared.example]}}
  - {id: gone, action: block, match: {names: [gone.example]}}
  - {id: range, action: block, match: {addresses: [198.51.100.0/24]}}
"""
# Only a policy zone can say this.
GARDEN = """
$ORIGIN garden.
$TTL 60
@ SOA ns.garden. admin.garden. 1 3600 600 86400 60
@ NS ns.garden.
*.deep.example CNAME *.garden.example.
"""
UPSTREAM = """
example. 300 SOA ns.example. admin.example. 1 3600 600 86400 60
plain.example. 100 A 192.0.2.3
portal.example. 100 A 192.0.2.5
portal.example. 100 A 198.51.100.5
tcp.example. 100 A 192.0.2.6
a.deep.example.garden.example. 100 A 192.0.2.8
spared.example. 100 CNAME gone.example.
gone.example. 100 A 198.51.100.1
"""


@pytest.fixture
def desk(policy_from):
    return Desk(policy_from(POLICY), UPSTREAM)


def addresses(message):
    return sorted(
        rdata.address
        for rrset in message.answer
        if rrset.rdtype == dns.rdatatype.A
        for rdata in rrset
    )


@pytest.mark.parametrize(
    ("name", "rcode", "found"),
    [
        ("gone.example", dns.rcode.NXDOMAIN, []),
        ("nodata.example", dns.rcode.NOERROR, []),
        ("refused.example", dns.rcode.REFUSED, []),
        ("sink.example", dns.rcode.NOERROR, ["192.0.2.9"]),
        ("records.example", dns.rcode.NOERROR, ["192.0.2.7"]),
    ],
)
def test_a_refusal_is_the_same_on_both_roads(desk, name, rcode, found):
    message = desk.look_up(name)
    assert (message.rcode(), addresses(message)) == (rcode, found)
    assert message.extended_errors()[0].code == 15
    assert dns.message.from_wire(desk.quickly(packet_of(name))).to_text() == message.to_text()
    assert desk.upstream.asked == []
    assert desk.events[0].rule


def test_what_is_dropped_is_not_answered_but_counted_and_recorded(desk):
    assert desk.look_up("drop.example") is None
    assert desk.quickly(packet_of("drop.example")) is None
    assert desk.queries("block") == 1
    assert [event.rule for event in desk.events] == ["drop"]


def test_what_is_for_tcp_alone_is_truncated_by_udp(desk):
    message = desk.look_up("tcp.example")
    assert message.flags & dns.flags.TC
    assert message.answer == []
    assert dns.message.from_wire(desk.quickly(packet_of("tcp.example"))).flags & dns.flags.TC
    assert addresses(desk.look_up("tcp.example", transport=TCP)) == ["192.0.2.6"]


def test_an_alias_of_the_policys_is_followed_and_not_judged(desk):
    """The second address is one that the policy blocks, but it was the policy that led there."""
    message = desk.look_up("alias.example")
    assert message.answer[0].to_text() == "alias.example. 5 IN CNAME portal.example."
    assert addresses(message) == ["192.0.2.5", "198.51.100.5"]
    assert (desk.queries("block"), desk.origin("policy")) == (1, 1)
    assert [event.rule for event in desk.events] == ["alias"]


def test_an_alias_gives_out_no_name_that_is_blocked(desk):
    """A feed could lead to what the policy closes."""
    assert desk.look_up("lure.example").rcode() == dns.rcode.NXDOMAIN
    (event,) = desk.events
    assert (event.rule, event.name) == ("gone", "lure.example")
    assert event.reason.endswith("(it is the alias that rule lured gives)")


def test_an_alias_to_itself_is_no_data(desk):
    message = desk.look_up("self.example")
    assert (message.rcode(), message.answer) == (dns.rcode.NOERROR, [])


def test_an_alias_to_a_name_that_never_leaves_does_not_leave(desk):
    message = desk.look_up("home.example")
    assert addresses(message) == ["127.0.0.1"]
    assert desk.upstream.asked == []


def test_what_is_behind_an_alias_is_cached_like_any_other(desk):
    desk.look_up("alias.example")
    assert addresses(desk.look_up("alias.example")) == ["192.0.2.5", "198.51.100.5"]
    assert desk.upstream.asked == ["portal.example. A"]
    desk.now_s += 95
    desk.look_up("alias.example")
    assert desk.carry_later() == 1
    desk.now_s += 200
    desk.upstream.set("down")
    assert addresses(desk.look_up("alias.example")) == ["192.0.2.5", "198.51.100.5"]


def test_upstream_is_asked_to_resolve_what_is_behind_an_alias(desk):
    (query,) = desk.ask("alias.example", flags=0).queries
    assert query.flags & dns.flags.RD


@pytest.fixture
def garden(policy_from):
    text = "{version: 1, default: allow, rpz: [{id: garden, file: garden.zone}]}"
    return Desk(policy_from(text, **{"garden.zone": GARDEN}), UPSTREAM)


def test_an_alias_for_a_whole_subtree_keeps_the_name(garden):
    message = garden.look_up("A.deep.example")
    assert message.answer[0][0].target.to_text() == "a.deep.example.garden.example."
    assert addresses(message) == ["192.0.2.8"]


def test_an_alias_that_would_be_too_long_is_no_data(garden):
    message = garden.look_up(".".join(["a" * 58] * 4) + ".deep.example")
    assert (message.rcode(), message.answer) == (dns.rcode.NOERROR, [])
    assert garden.events[0].action == "block"


def test_an_alias_to_what_upstream_does_not_answer_is_a_failure_behind_it(desk):
    desk.upstream.set("down")
    message = desk.look_up("alias.example")
    assert message.rcode() == dns.rcode.SERVFAIL
    assert message.answer[0].to_text() == "alias.example. 5 IN CNAME portal.example."
    assert desk.queries("block") == 1


def test_an_answer_can_lead_to_an_alias_of_the_policys(policy_from):
    policy = policy_from(
        "{version: 1, default: allow, rules: [{id: a, action: block, "
        "refusal: {cname: portal.example}, match: {addresses: [198.51.100.1]}}]}"
    )
    desk = Desk(policy, UPSTREAM)
    message = desk.look_up("spared.example")
    assert message.answer[0].to_text() == "spared.example. 5 IN CNAME portal.example."
    assert len(message.answer[1]) == 2


def test_what_a_spared_name_leads_to_is_not_judged(desk):
    assert addresses(desk.look_up("spared.example")) == ["198.51.100.1"]
    desk.look_up("spared.example")
    assert addresses(dns.message.from_wire(desk.quickly(packet_of("spared.example"))))


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("secret.onion", dns.rcode.NXDOMAIN),
        ("printer.test", dns.rcode.NXDOMAIN),
        ("localhost", dns.rcode.NOERROR),
        ("x.localhost", dns.rcode.NOERROR),
        ("1.0.0.10.in-addr.arpa", dns.rcode.NXDOMAIN),
    ],
)
def test_special_names_never_leak(desk, name, rcode):
    message = dns.message.from_wire(desk.ask(name))
    assert message.rcode() == rcode
    assert desk.origin("local") == 1
    assert isinstance(desk.ask(name), bytes), "nor with the next question"


def test_special_names_are_asked_of_upstreams_of_their_own(policy_from):
    desk = Desk(policy_from(POLICY), is_routed=lambda name: name.endswith(b"\4test\0"))
    assert isinstance(desk.ask("printer.test"), Ask)
    assert isinstance(desk.ask("secret.onion"), bytes)


def test_special_names_are_blocked_like_any_other(policy_from):
    desk = Desk(
        policy_from(
            "{version: 1, default: allow, "
            "rules: [{id: r, action: block, refusal: refused, match: {suffixes: [localhost]}}]}"
        )
    )
    assert dns.message.from_wire(desk.ask("localhost")).rcode() == dns.rcode.REFUSED


WEB = """
guarded.example. 100 HTTPS 1 . ipv4hint=192.0.2.1,198.51.100.9 ech=AAT+DQAA
other.example. 100 HTTPS 1 . ipv4hint=192.0.2.1 ech=AAT+DQAA
svc.example. 100 HTTPS 0 gone.example.
"""


def params(message):
    (record,) = message.answer[0]
    return {key.name: value.to_text().strip('"') for key, value in record.params.items()}


def test_ech_goes_from_names_that_the_policy_is_about(policy_from):
    rule = "{id: r, action: monitor, match: {names: [guarded.example]}}"
    policy = policy_from("{version: 1, default: allow, rules: [" + rule + "]}")
    desk = Desk(policy, WEB)
    for _ in range(3):
        assert "ECH" not in params(desk.look_up("guarded.example", "HTTPS"))
        assert "ECH" in params(desk.look_up("other.example", "HTTPS"))
    quick = dns.message.from_wire(desk.quickly(packet_of("guarded.example", "HTTPS")))
    assert "ECH" not in params(quick)


def test_hints_that_are_blocked_go(desk):
    desk.upstream.set(WEB)
    assert params(desk.look_up("guarded.example", "HTTPS"))["IPV4HINT"] == "192.0.2.1"


def test_the_target_of_a_service_is_judged_as_an_alias(desk):
    desk.upstream.set(WEB)
    assert desk.look_up("svc.example", "HTTPS").rcode() == dns.rcode.NXDOMAIN


def test_the_gate_knows_the_hints_and_the_targets_of_a_service(policy_from):
    desk = Desk(
        policy_from("{version: 1, default: allow}"),
        "web.example. 100 HTTPS 1 host.example. ipv4hint=192.0.2.1\nhost.example. 100 A 192.0.2.2",
    )
    desk.look_up("web.example", "HTTPS")
    holds = desk.shared.bindings.holds
    assert holds(CLIENT, "web.example", ip_address("192.0.2.1"), desk.now_s)
    assert not holds(CLIENT, "web.example", ip_address("192.0.2.2"), desk.now_s)
    desk.look_up("host.example")
    assert holds(CLIENT, "web.example", ip_address("192.0.2.2"), desk.now_s)


def cookie(data):
    return dns.edns.GenericOption(dns.edns.OptionType.COOKIE, data)


def cookie_of(message):
    (option,) = (each for each in message.options if each.otype == dns.edns.OptionType.COOKIE)
    return option.to_wire()


@pytest.mark.parametrize("name", ["gone.example", "plain.example", "tcp.example", "localhost"])
def test_a_cookie_comes_back_with_ours_behind_it(policy_from, name):
    desk = Desk(policy_from(POLICY), UPSTREAM, cookies=Cookies(bytes(16)))
    first = cookie_of(desk.look_up(name, options=[cookie(b"12345678")]))
    assert first[:8] == b"12345678"
    assert len(first) == 24
    assert cookie_of(desk.look_up(name, options=[cookie(first)])) == first


def test_a_cookie_is_not_the_upstreams_business(policy_from):
    desk = Desk(policy_from(POLICY), UPSTREAM, cookies=Cookies(bytes(16)))
    desk.look_up("plain.example", options=[cookie(b"12345678")])
    plain = desk.look_up("plain.example")
    assert plain.options == ()


def test_where_cookies_are_required_one_must_be_ours(policy_from):
    desk = Desk(policy_from(POLICY), UPSTREAM, cookies=Cookies(bytes(16)), require_cookies=True)
    refused = desk.look_up("gone.example", options=[cookie(b"12345678")])
    assert refused.rcode() == dns.rcode.BADCOOKIE
    assert desk.discarded("bad_cookie") == 1
    given = [cookie(cookie_of(refused))]
    assert desk.look_up("gone.example", options=given).rcode() == dns.rcode.NXDOMAIN
    by_tcp = desk.look_up("gone.example", options=[cookie(b"12345678")], transport=TCP)
    assert by_tcp.rcode() == dns.rcode.NXDOMAIN


def test_any_by_udp_may_be_answered_with_next_to_nothing(policy_from):
    desk = Desk(policy_from(POLICY), UPSTREAM, minimal_any=True)
    assert desk.look_up("plain.example", "ANY").answer[0].rdtype == dns.rdatatype.HINFO
    assert desk.look_up("gone.example", "ANY").rcode() == dns.rcode.NXDOMAIN
    assert addresses(desk.look_up("plain.example", "ANY", transport=TCP))


def test_a_reload_takes_effect_on_an_alias_that_is_on_its_way(desk, policy_from):
    ask = desk.ask("alias.example")
    desk.policy.current = policy_from(
        POLICY.replace("cname: portal.example", "sinkhole: [192.0.2.9]")
    )
    message = dns.message.from_wire(desk.settle(ask))
    assert addresses(message) == ["192.0.2.9"]
    assert desk.queries("block") == 1


ADDED = """\
id 0
opcode QUERY
rcode NOERROR
flags QR RD RA
;QUESTION
svc.example. IN SRV
;ANSWER
svc.example. 60 IN SRV 1 2 443 host.example.
;ADDITIONAL
host.example. 60 IN A 198.51.100.7
"""


@pytest.mark.parametrize("mode", ["enforce", "monitor"])
def test_what_a_server_adds_leads_round_nothing(policy_from, mode):
    """The address is in a blocked range, and clients use what they are given."""
    desk = Desk(policy_from(POLICY.replace("version: 1", f"version: 1\nmode: {mode}")), UPSTREAM)
    ask = desk.ask("svc.example", "SRV")
    message = desk.resume(ask, dns.message.from_text(ADDED).to_wire())
    assert message.answer
    assert bool(message.additional) is (mode == "monitor")
