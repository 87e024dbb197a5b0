"""Whatever is asked, by whom and when: the quick road answers as the responder would, or not."""

from collections import Counter
from ipaddress import ip_address
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.dns.desk import Desk

from enforcer.dns.ask import UDP, Asker
from enforcer.dns.cache import CacheLimits
from enforcer.dns.packets.answer import parse_answer
from enforcer.policy.admit import admit_policy
from enforcer.policy.names import from_wire

CLIENTS = [ip_address(text) for text in ("10.9.0.1", "10.9.0.2", "10.1.0.1", "2001:db8::1")]
HEAD = """
version: 1
default: allow
groups: {guests: [10.9.0.0/16]}
"""
POLICIES = [
    HEAD
    + """
include: [packs/ngrok.yaml]
connect_urls: [{host: connect.example.com, issuer: ngrok}]
rules:
  - {id: guests, action: block, match: {names: [www.example], clients: [guests]}}
  - {id: range, action: block, match: {addresses: [198.51.100.0/24]}}
  - {id: watched, action: monitor, match: {names: [watched.example]}}
  - {id: sink, action: block, refusal: {sinkhole: [192.0.2.9]}, match: {names: [mail.example]}}
""",
    HEAD
    + """
rules:
  - {id: no-watched, action: block, refusal: drop, match: {names: [watched.example]}}
  - {id: tcp, action: block, refusal: tcp_only, match: {names: [short.example]}}
  - {id: other, action: block, refusal: {cname: www.example}, match: {names: [mail.example]}}
  - {id: alias, action: block, match: {names: [real.example]}}
  - {id: server, action: block, match: {nsdnames: [ns.zone.example]}}
""",
    HEAD
    + """
rules:
  - id: evening
    action: block
    match:
      names: [www.example, watched.example]
      when: {from: "12:01", to: "12:02", timezone: UTC}
  - {id: one-type, action: block, match: {names: [short.example], qtypes: [AAAA]}}
  - {id: records, action: block, refusal: {records: [A 192.0.2.7]}, match: {names: [real.example]}}
""",
]
NOON_S = 1_795_521_600.0
UPSTREAM = """
example. 60 SOA ns.example. admin.example. 1 3600 600 86400 60
www.example. 60 A 192.0.2.80
www.example. 60 AAAA 2001:db8::80
watched.example. 2 A 192.0.2.81
short.example. 1 A 192.0.2.82
short.example. 0 AAAA 2001:db8::82
mail.example. 300 A 198.51.100.1
alias.example. 30 CNAME real.example.
real.example. 60 A 192.0.2.83
blocked.example. 60 A 198.51.100.7
web.example. 60 HTTPS 1 real.example. ipv4hint=198.51.100.9,192.0.2.4 ech=AAT+DQAA
connect.example.com. 60 A 192.0.2.90
zone.example. 3600 SOA ns.zone.example. admin.example. 1 3600 600 86400 60
zone.example. 3600 NS ns.zone.example.
host.zone.example. 20 A 192.0.2.84
"""
LIMITS = CacheLimits(stale_s=7200)
NAMES = [
    *(b"\3www\7example\0", b"\7watched\7example\0", b"\5short\7example\0", b"\4mail\7example\0"),
    *(b"\5alias\7example\0", b"\4real\7example\0", b"\7blocked\7example\0", b"\3web\7example\0"),
    b"\7connect\x0bngrok-agent\3com\0",
    b"\7connect\7example\3com\0",
    b"\4host\4zone\7example\0",
    b"\7nothing\7example\0",
    b"\x09localhost\0",
    b"\0",
    # A zero byte in a label: what is behind it looks like a type, a class and more.
    b"\5a\0\1\0\1\7example\0",
    b"\4www\0\7example\0",
]
TAILS = [
    b"",
    b"\0\0\x29\4\xd0\0\0\0\0\0\0",
    b"\0\0\x29\x10\0\0\0\x80\0\0\0",
    b"\0\0\x29\2\0\0\1\0\0\0\0",
]


kinds = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from([b"\1\0", b"\1\x20", b"\1\x10", b"\0\0"]),
    st.sampled_from([b"\0\1", b"\0\1", b"\0\x1c", b"\0\x41", b"\0\xff"]),
    st.sampled_from(TAILS),
)


@st.composite
def packets(draw, kinds=kinds):
    name, flags, qtype, tail = draw(kinds)
    ident = draw(st.sampled_from([b"\0\1", b"\xab\xcd"]))
    letters = draw(st.sampled_from([bytes.lower, bytes.lower, bytes.upper, bytes.title]))
    counts = b"\0\1\0\0\0\0\0" + bytes((bool(tail),))
    return ident + flags + counts + _with_letters(name, letters) + qtype + b"\0\1" + tail


def _with_letters(name, letters):
    written, at = b"", 0
    while length := name[at]:
        written += name[at : at + 1] + letters(name[at + 1 : at + 1 + length])
        at += 1 + length
    return written + name[at:]


@st.composite
def days(draw):
    """Few different questions, so that most are asked again."""
    asked = draw(st.lists(kinds, min_size=1, max_size=3))
    clients = st.lists(st.sampled_from(CLIENTS), min_size=1, max_size=6)
    ask = st.tuples(st.just("ask"), packets(st.sampled_from(asked)), clients)
    other = st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([0.3, 0.7, 1, 2, 6, 55, 61, 90_000])),
        st.tuples(st.just("reload"), st.sampled_from(range(len(POLICIES)))),
        st.tuples(st.just("upstream"), st.sampled_from([UPSTREAM, "down"])),
        st.tuples(st.just("drain")),
        st.tuples(st.just("set back")),
    )
    return draw(st.lists(st.one_of(ask, other), max_size=25))


@pytest.fixture(scope="module")
def policy_number(tmp_path_factory):
    made = []
    for number, text in enumerate(POLICIES):
        path = tmp_path_factory.mktemp("policies") / f"{number}.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        made.append(admit_policy(path))

    # Hypothesis prints a function in one word.
    def policy_of(number):
        return made[number]

    return policy_of


@given(steps=days(), first=st.sampled_from(range(len(POLICIES))))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_quick_road_gives_what_the_general_road_would(policy_number, steps, first):
    both = Desk(policy_number(first), UPSTREAM, now_s=NOON_S, limits=LIMITS)
    slow = Desk(policy_number(first), UPSTREAM, now_s=NOON_S, limits=LIMITS)
    recorded = []
    for step, *values in steps:
        match step:
            case "ask":
                packet, clients = values
                for client in clients:
                    _ask_both(both, slow, packet, client)
            case "drain":
                recorded += both.responder.quick.drain()
            case "reload":
                both.policy.current = slow.policy.current = policy_number(*values)
            case "upstream":
                both.upstream.set(*values)
                slow.upstream.set(*values)
            case "wait":
                both.now_s = slow.now_s = both.now_s + values[0]
            case "set back":
                both.now_s = slow.now_s = both.now_s - 1000
    recorded += both.events + both.responder.quick.drain()
    assert _counted(recorded) == _counted(slow.events)
    assert _cells(both.metrics.dns_queries) == _cells(slow.metrics.dns_queries)
    assert _cells(both.metrics.dns_answers) == _cells(slow.metrics.dns_answers)


def _ask_both(both, slow, packet, client):
    answer = both.quickly(packet, client)
    if answer is None:
        answer = _general(both, packet, client)
    expected = _general(slow, packet, client)
    assert _without_ttls(answer) == _without_ttls(expected)
    assert all(
        abs(one - other) <= 1 for one, other in zip(_ttls(answer), _ttls(expected), strict=True)
    )
    parsed = parse_answer(expected) if expected else None
    name = from_wire(packet[12:] + bytes(64))
    for address in parsed.addresses if parsed else ():
        assert both.shared.bindings.holds(client, name, address, both.now_s) == (
            slow.shared.bindings.holds(client, name, address, slow.now_s)
        )


def _general(desk, packet, client):
    response = desk.settle(desk.responder.answer(packet, Asker(client, UDP), desk.now_s))
    desk.carry_later()
    return response


def _without_ttls(response):
    blank = bytearray(response or b"")
    for at in _ttl_at(response):
        blank[at : at + 4] = bytes(4)
    return bytes(blank)


def _ttls(response):
    return [int.from_bytes(response[at : at + 4], "big") for at in _ttl_at(response)]


def _ttl_at(response):
    parsed = parse_answer(response) if response else None
    return parsed.ttl_at if parsed else ()


def _counted(events):
    """By all but times: the first and the last time are of whole windows."""
    counted = Counter()
    for event in events:
        counted[event.folding_key] += event.occurrences
    return counted


def _cells(series):
    return {labels: cell.value for labels, cell in series.cells.items() if cell.value}


@given(
    packet=st.one_of(st.binary(max_size=400), packets()),
    cut=st.integers(0, 400),
    client=st.one_of(st.sampled_from([each.packed for each in CLIENTS]), st.binary(max_size=20)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_no_bytes_make_the_quick_road_raise(policy_number, packet, cut, client):
    desk = Desk(policy_number(0), UPSTREAM, now_s=NOON_S)
    for known in (packet[:cut], packet):
        desk.settle(desk.responder.answer(known, Asker(CLIENTS[0], UDP), desk.now_s))
        desk.settle(desk.responder.answer(known, Asker(CLIENTS[0], UDP), desk.now_s))
    desk.responder.quick.begin(desk.now_s)
    for asked in (packet, packet[:cut], packet + b"\0"):
        answer = desk.responder.quick.answer(asked, client)
        assert answer is None or answer[:2] == asked[:2]
