"""Each packet under tests/data/packets gets the answer, or the silence, that stands beside it."""

from ipaddress import ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest
import yaml

from enforcer.dns.ask import DOT, TCP, UDP, Ask, Asker
from enforcer.dns.packets.cookies import Cookies
from enforcer.dns.responder import Responder, build_shared
from enforcer.dns.serving.turn_away import refuse, truncate
from enforcer.metrics import Metrics
from enforcer.policy.admit import admit_policy
from enforcer.policy.holder import PolicyHolder

PACKETS = Path(__file__).parents[2] / "data" / "packets"
EXPECTED = yaml.safe_load((PACKETS / "expected.yaml").read_text())
CLIENT = ip_address("192.0.2.9")
SILENCE, ASKED = "silence", "asked"
# What a query may have set, and what of it comes back; RA is ours (RFC 1035 4.1.1).
COMES_BACK = dns.flags.RD | dns.flags.CD

each_packet = pytest.mark.parametrize("name", EXPECTED)


def read(name):
    lines = (PACKETS / f"{name}.hex").read_text().splitlines()
    return bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


@pytest.fixture(scope="module")
def responder():
    shared = build_shared()._replace(cookies=Cookies(bytes(16)))
    return Responder(PolicyHolder(admit_policy()), lambda event: None, Metrics(), shared)


def outcome(answered):
    if answered is None:
        return SILENCE
    if isinstance(answered, Ask):
        return ASKED
    return dns.rcode.to_text(dns.message.from_wire(answered).rcode())


@each_packet
@pytest.mark.parametrize("transport", [UDP, TCP, DOT])
def test_packet_is_answered_as_its_rule_says(responder, name, transport):
    answered = responder.answer(read(name), Asker(CLIENT, transport), 1000.0)
    assert outcome(answered) == EXPECTED[name]


@each_packet
def test_what_comes_back_is_an_answer_and_echoes_nothing_that_is_not_known(responder, name):
    packet = read(name)
    answered = responder.answer(packet, Asker(CLIENT, UDP), 1000.0)
    if not isinstance(answered, bytes):
        return
    message = dns.message.from_wire(answered)
    asked = int.from_bytes(packet[2:4], "big")
    is_query = not asked & 0x7800
    assert answered[:2] == packet[:2]
    assert message.opcode() == (asked & 0x7800) >> 11
    kept = asked & COMES_BACK | dns.flags.RA if is_query else 0
    assert message.flags & ~0x780F & ~dns.flags.QR & ~kept == 0
    assert message.flags & dns.flags.QR
    assert message.edns <= 0
    assert message.ednsflags & 0xFFFF in (0, dns.flags.DO)
    assert {int(option.otype) for option in message.options} <= {10, 15}
    assert len(answered) <= 1232
    assert message.answer == []


@each_packet
def test_what_goes_upstream_carries_nothing_of_the_client_but_its_question(responder, name):
    answered = responder.answer(read(name), Asker(CLIENT, UDP), 1000.0)
    if isinstance(answered, Ask):
        (query,) = answered.queries
        assert query.flags & ~(dns.flags.RD | dns.flags.AD | dns.flags.CD) == 0
        assert query.question.lower() in read(name).lower()


@each_packet
def test_who_is_turned_away_hears_no_more_than_that(name):
    told = refuse(read(name), "not you"), truncate(read(name))
    for answer in told:
        assert (answer is None) is (EXPECTED[name] == SILENCE)
        if answer:
            assert dns.message.from_wire(answer).answer == []
    if EXPECTED[name] in (ASKED, "NXDOMAIN"):
        assert outcome(told[0]) == "REFUSED"


def test_each_packet_has_an_outcome_and_each_outcome_a_packet():
    assert {path.stem for path in PACKETS.glob("*.hex")} == set(EXPECTED)
