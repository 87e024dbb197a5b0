"""The quick road: same bytes under another id, counted and noted, and never out of bounds.

That it never says anything else than the responder is in test_quick_fuzz.py.
"""

from ipaddress import ip_address

import dns.message
import pytest
from unit.dns.desk import CLIENT, Desk, packet_of

from enforcer.dns import quick
from enforcer.dns.ask import TCP, UDP, Asker
from enforcer.dns.quick import Known, QuickPath
from enforcer.metrics import Cell
from enforcer.policy.holder import PolicyHolder

POLICY = """
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls: [{host: connect.example.com, issuer: ngrok}]
rules:
  - {id: guests, action: block, match: {names: [www.example], clients: [10.9.0.0/16]}}
  - {id: watched, action: monitor, match: {names: [watched.example]}}
"""
UPSTREAM = """
www.example. 300 A 192.0.2.80
watched.example. 300 A 192.0.2.81
connect.example.com. 300 A 192.0.2.90
"""
BLOCKED = "connect.ngrok-agent.com"
GUEST = ip_address("10.9.0.1")
OTHER = ip_address("10.8.0.3")


@pytest.fixture
def desk(policy_from):
    return Desk(policy_from(POLICY), UPSTREAM)


def teach(desk, name, client=CLIENT, **options):
    """Asked until the quick road knows it: the first answer comes from upstream."""
    for _ in range(2):
        desk.settle(desk.ask(name, client=client, **options))


def test_an_unknown_question_is_not_answered(desk):
    assert desk.quickly(packet_of(BLOCKED)) is None


def test_a_blocked_name_is_answered_under_each_id(desk):
    first = desk.ask(BLOCKED, id=1)
    again = desk.quickly(packet_of(BLOCKED, id=0xABCD))
    assert again == b"\xab\xcd" + first[2:]


def test_a_cached_name_is_answered_until_its_ttl_counts_down(desk):
    teach(desk, "www.example")
    assert dns.message.from_wire(desk.quickly(packet_of("www.example"))).answer[0].ttl == 300
    desk.now_s += 0.9
    assert desk.quickly(packet_of("www.example"))
    desk.now_s += 0.2
    assert desk.quickly(packet_of("www.example")) is None


@pytest.mark.parametrize(
    ("taught", "asked"),
    [(BLOCKED.upper(), BLOCKED), (BLOCKED, BLOCKED.upper()), ("CONNECT.ngrok-AGENT.com",) * 2],
)
def test_the_question_comes_back_in_the_letters_of_who_asks(desk, taught, asked):
    desk.ask(taught)
    message = dns.message.from_wire(desk.quickly(packet_of(asked)))
    assert message.question[0].name.to_text() == f"{asked}."


@pytest.mark.parametrize(
    "other",
    [
        {"qtype": "AAAA"},
        {"use_edns": False},
        {"payload": 512},
        {"want_dnssec": True},
        {"flags": 0},
        {"flags": dns.flags.RD | dns.flags.CD},
    ],
)
def test_another_shape_is_another_question(desk, other):
    desk.ask(BLOCKED)
    assert desk.quickly(packet_of(BLOCKED))
    assert desk.quickly(packet_of(BLOCKED, **other)) is None


def test_a_question_with_an_option_is_never_known(desk):
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    desk.ask(BLOCKED, options=[cookie])
    assert len(desk.responder.quick) == 0


def test_what_came_by_tcp_is_not_known(desk):
    desk.ask(BLOCKED, transport=TCP)
    assert len(desk.responder.quick) == 0


def test_clients_of_one_class_share_what_is_known_of_another_not(desk):
    teach(desk, "www.example")
    desk.ask("other.example", client=OTHER)
    assert desk.quickly(packet_of("www.example"), OTHER) is None, "nothing of this client is known"
    desk.ask(BLOCKED, client=OTHER)
    assert desk.quickly(packet_of("www.example"), OTHER)
    desk.ask(BLOCKED, client=GUEST)
    assert desk.quickly(packet_of("www.example"), GUEST) is None
    desk.ask("www.example", client=GUEST)
    guest = dns.message.from_wire(desk.quickly(packet_of("www.example"), GUEST))
    assert guest.rcode() == dns.rcode.NXDOMAIN
    assert dns.message.from_wire(desk.quickly(packet_of("www.example"))).answer


def test_a_reload_forgets(desk, policy_from):
    teach(desk, "www.example")
    desk.policy.current = policy_from(
        "{version: 1, default: allow, "
        "rules: [{id: new, action: block, match: {names: [www.example]}}]}"
    )
    assert desk.quickly(packet_of("www.example")) is None
    assert desk.look_up("www.example").rcode() == dns.rcode.NXDOMAIN
    blocked = dns.message.from_wire(desk.quickly(packet_of("www.example")))
    assert blocked.rcode() == dns.rcode.NXDOMAIN


def test_what_was_judged_by_the_policy_before_is_not_learnt(desk, policy_from):
    """Between a reload and the next batch, when the tables are still the old policy's."""
    desk.quickly(packet_of(BLOCKED))
    desk.policy.current = policy_from("{version: 1, default: allow}")
    teach(desk, "www.example")
    assert len(desk.responder.quick) == 0


HOURS = """
version: 1
default: allow
rules:
  - id: hours
    action: block
    match: {names: [www.example], when: {from: "00:17", to: "00:18", timezone: UTC}}
"""


def test_hours_begin_and_end_on_the_quick_road_too(policy_from):
    desk = Desk(policy_from(HOURS), UPSTREAM, now_s=17 * 60 - 0.2)
    desk.quickly(packet_of("www.example"))
    teach(desk, "www.example")
    assert dns.message.from_wire(desk.quickly(packet_of("www.example"))).answer
    desk.now_s += 0.3
    assert desk.quickly(packet_of("www.example")) is None
    desk.ask("www.example")
    assert not dns.message.from_wire(desk.quickly(packet_of("www.example"))).answer
    desk.now_s += 60
    assert desk.quickly(packet_of("www.example")) is None


def test_an_answer_judged_in_other_hours_is_not_learnt(policy_from):
    """Asked while the rule held, answered after: what upstream was asked for is an address."""
    policy = HOURS.replace("names: [www.example]", "addresses: [192.0.2.80]")
    desk = Desk(policy_from(policy), UPSTREAM, now_s=18 * 60 - 0.2)
    desk.quickly(packet_of("www.example"))
    ask = desk.ask("www.example")
    desk.now_s += 0.4
    desk.quickly(packet_of("www.example"))
    assert not dns.message.from_wire(desk.carry(ask)).answer
    assert desk.quickly(packet_of("www.example")) is None
    assert desk.look_up("www.example").answer


def test_a_clock_that_is_set_back_forgets(desk):
    teach(desk, "www.example")
    assert desk.quickly(packet_of("www.example"))
    desk.now_s -= 100
    assert desk.quickly(packet_of("www.example")) is None


def test_prefetch_is_not_put_off(desk):
    """From the moment an answer is to be fetched again, the responder is asked."""
    teach(desk, "www.example")
    desk.now_s += 269.9
    teach(desk, "www.example")
    assert desk.quickly(packet_of("www.example"))
    desk.now_s += 0.1
    assert desk.quickly(packet_of("www.example")) is None
    desk.ask("www.example")
    assert desk.carry_later() == 1


def test_each_answer_is_counted(desk):
    desk.ask(BLOCKED)
    teach(desk, "www.example")
    for _ in range(3):
        desk.quickly(packet_of(BLOCKED))
        desk.quickly(packet_of(BLOCKED.upper()))
        desk.quickly(packet_of("www.example"))
    assert (desk.queries("block"), desk.queries("allow")) == (7, 5)
    assert (desk.origin("policy"), desk.origin("upstream"), desk.origin("cache")) == (7, 1, 4)


def test_each_answer_is_on_record_with_its_client_and_its_times(desk):
    for client in (CLIENT, OTHER):
        desk.ask(BLOCKED, client=client)
    desk.events.clear()
    for client, count in ((CLIENT, 3), (OTHER, 2)):
        for _ in range(count):
            desk.now_s += 1
            assert desk.quickly(packet_of(BLOCKED), client)
    mine, other = desk.responder.quick.drain()
    assert (mine.client, mine.occurrences, mine.time_s, mine.last_time_s) == (
        *(str(CLIENT), 3, 1001.0, 1003.0),
    )
    assert (other.client, other.occurrences, other.time_s, other.last_time_s) == (
        *(str(OTHER), 2, 1004.0, 1005.0),
    )
    assert {(event.name, event.action, event.rule) for event in (mine, other)} == {
        (BLOCKED, "block", "ngrok-connect")
    }
    assert desk.responder.quick.drain() == []


def test_an_answer_without_a_record_is_on_none(desk):
    teach(desk, "www.example")
    assert desk.quickly(packet_of("www.example"))
    assert desk.responder.quick.drain() == []


@pytest.mark.parametrize(
    ("name", "action"), [("watched.example", "monitor"), ("connect.example.com", "allow")]
)
def test_monitored_names_and_connect_urls_are_on_record(desk, name, action):
    teach(desk, name)
    assert desk.quickly(packet_of(name))
    (event,) = desk.responder.quick.drain()
    assert (event.name, event.action) == (name, action)


def test_what_is_noted_outlives_what_is_known(desk, policy_from):
    desk.ask(BLOCKED)
    desk.quickly(packet_of(BLOCKED))
    desk.policy.current = policy_from("{version: 1, default: allow}")
    assert desk.quickly(packet_of(BLOCKED)) is None
    (event,) = desk.responder.quick.drain()
    assert event.occurrences == 1


def test_the_gate_knows_who_got_an_address(desk):
    teach(desk, "www.example")
    address = ip_address("192.0.2.80")
    desk.ask(BLOCKED, client=OTHER)
    assert not desk.shared.bindings.holds(OTHER, "www.example", address, desk.now_s)
    assert desk.quickly(packet_of("www.example"), OTHER)
    assert desk.shared.bindings.holds(OTHER, "www.example", address, desk.now_s)


def test_it_knows_for_long_as_well(desk):
    """Hours after the first answer, though it never was forgotten on the quick road."""
    teach(desk, "www.example")
    address = ip_address("192.0.2.80")
    for _ in range(30):
        desk.now_s += 60
        teach(desk, "www.example")
        desk.responder.quick.drain()
        assert desk.quickly(packet_of("www.example"))
        assert desk.shared.bindings.holds(CLIENT, "www.example", address, desk.now_s)


def test_what_there_is_no_room_to_note_is_counted_by_rule(desk, monkeypatch):
    monkeypatch.setattr(quick, "MAX_RECORDED", 3)
    names = [f"connect.r{number}.ngrok-agent.com" for number in range(5)]
    for name in (*names, "watched.example"):
        teach(desk, name)
    for number, name in enumerate((*names, *names, "watched.example", names[0].upper())):
        desk.now_s = 1000.5 + number / 100
        assert desk.quickly(packet_of(name))
    events = desk.responder.quick.drain()
    assert {(event.name, event.client, event.rule): event.occurrences for event in events} == {
        (names[0], str(CLIENT), "ngrok-connect-regions"): 3,
        **{(name, str(CLIENT), "ngrok-connect-regions"): 2 for name in names[1:3]},
        ("*", "*", "ngrok-connect-regions"): 4,
        ("*", "*", "watched"): 1,
    }
    (coarse,) = (
        event for event in events if (event.name, event.rule) == ("*", "ngrok-connect-regions")
    )
    assert (coarse.time_s, coarse.last_time_s, coarse.reason) == (1000.53, 1000.59, "*")
    assert desk.metrics.audit_events_coarsened.cell().value == 5
    assert desk.quickly(packet_of(names[4]))
    assert desk.responder.quick.drain()[0].name == names[4], "there is room again"


def test_what_is_counted_by_rule_is_counted_by_policy(desk, policy_from, monkeypatch):
    monkeypatch.setattr(quick, "MAX_RECORDED", 0)
    digests = []
    for text in (POLICY, POLICY + "  - {id: more, action: block, match: {names: [m.example]}}\n"):
        desk.policy.current = policy_from(text)
        digests.append(desk.policy.current.policy.digest)
        desk.quickly(packet_of(BLOCKED))
        desk.ask(BLOCKED)
        assert desk.quickly(packet_of(BLOCKED))
    assert [event.policy for event in desk.responder.quick.drain()] == digests


def test_who_gets_an_address_is_told_to_the_gate_though_there_is_no_room(desk, monkeypatch):
    monkeypatch.setattr(quick, "MAX_GRANTED", 0)
    teach(desk, "www.example")
    desk.ask(BLOCKED, client=OTHER)
    assert desk.quickly(packet_of("www.example"), OTHER)
    address = ip_address("192.0.2.80")
    assert desk.shared.bindings.holds(OTHER, "www.example", address, desk.now_s)


def test_names_without_a_record_take_no_room_from_those_with_one(desk, monkeypatch):
    monkeypatch.setattr(quick, "MAX_RECORDED", 1)
    for client in (CLIENT, OTHER):
        teach(desk, "www.example", client)
        assert desk.quickly(packet_of("www.example"), client)
    desk.ask(BLOCKED)
    assert desk.quickly(packet_of(BLOCKED))
    (event,) = desk.responder.quick.drain()
    assert (event.name, event.client) == (BLOCKED, str(CLIENT))


@pytest.fixture
def path(policy_from):
    path = QuickPath(PolicyHolder(policy_from("{version: 1, default: allow}")), Cell())
    path.begin(1000.0)
    return path


def question(number=0, shape=b"\0\1\0\1"):
    name = b"\4%04x\0" % number
    return b"\0\7\1\0\0\1\0\0\0\0\0\0" + name + shape


def known(packet):
    return Known(packet[2:], (Cell(), Cell()), float("inf"), None)


def learn(path, packet, client=CLIENT):
    path.learn(packet, client, known(packet), 1000.0)


def test_so_many_names_are_known_at_most(path, monkeypatch):
    monkeypatch.setattr(quick, "MAX_KNOWN", 50)
    for number in range(120):
        learn(path, question(number))
        assert len(path) <= 50
    assert path.answer(question(119), CLIENT.packed)


def test_so_many_clients_are_known_at_most(path, monkeypatch):
    monkeypatch.setattr(quick, "MAX_CLIENTS", 50)
    for number in range(120):
        learn(path, question(), ip_address(number))
        assert len(path._clients) <= 50
    assert path.answer(question(), ip_address(119).packed)


def test_so_many_shapes_are_known_at_most_and_those_of_many_names_stay(path, monkeypatch):
    monkeypatch.setattr(quick, "MAX_SHAPES", 8)
    for number in range(20):
        learn(path, question(number))
    for number in range(100):
        learn(path, question(1, number.to_bytes(2, "big") + b"\0\1"))
        assert len(path._clients[CLIENT.packed]) <= 8
    assert all(path.answer(question(number), CLIENT.packed) for number in range(20))
    assert path.answer(question(1, b"\0\x63\0\1"), CLIENT.packed), "the last one"
    assert len(path) == sum(map(len, path._clients[CLIENT.packed].values()))


def test_learning_again_is_no_second_name(path):
    for _ in range(3):
        learn(path, question())
    assert len(path) == 1


def test_an_answer_that_no_datagram_has_room_for_is_not_learnt(path):
    large = Known(bytes(quick.MAX_UDP_BYTES), (Cell(), Cell()), float("inf"), None)
    path.learn(question(), CLIENT, large, 1000.0)
    assert path.answer(question(), CLIENT.packed) is None


def test_a_zero_byte_in_a_label_is_no_end_of_a_name(policy_from):
    """``a`` and what follows is one label here; elsewhere it is a name, a type and a class."""
    desk = Desk(policy_from("{version: 1, default: block}"))
    tail = b"\0\1\0\1"
    header = b"\0\7\1\0\0\1\0\0\0\0\0\0"
    zero_inside = header + b"\5ab\0cd\0" + tail
    for packet in (zero_inside, header + b"\2ab\0" + tail):
        assert isinstance(desk.responder.answer(packet, Asker(CLIENT, UDP), 1000.0), bytes)
    short = desk.quickly(header + b"\2ab\0" + tail)
    assert dns.message.from_wire(short).question[0].name.to_text() == "ab."
    for packet in (zero_inside, header + b"\5ab\0ce\0" + tail, header + b"\2ab\0" + tail + b"\0"):
        answer = desk.quickly(packet)
        assert answer is None or answer[12 : len(packet)] == packet[12:]
