"""Any bytes: nothing raises, and the two roads read the same query."""

import re
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import dns.message
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from enforcer.dns.ask import TCP, UDP, Ask, Asker
from enforcer.dns.packets.answer import parse_answer
from enforcer.dns.packets.cookies import Cookies
from enforcer.dns.packets.message import read_query
from enforcer.dns.packets.wire import parse_query
from enforcer.dns.responder import Responder, build_shared
from enforcer.metrics import Metrics
from enforcer.policy.admit import admit_policy
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import OnFailure

QUERY = dns.message.make_query("connect.ngrok-agent.com", "A", use_edns=0, id=1).to_wire()
REPLY = dns.message.from_text(
    "id 1\nopcode QUERY\nrcode NOERROR\nflags QR RD RA\nedns 0\n;QUESTION\na.test. IN A\n"
    ";ANSWER\na.test. 60 IN CNAME b.test.\nb.test. 60 IN A 192.0.2.1\n"
).to_wire()
PACKETS = [
    packet
    for path in sorted((Path(__file__).parents[2] / "data" / "packets").glob("*.hex"))
    if (packet := bytes.fromhex(re.sub("(?m)^#.*", "", path.read_text())))
]
labels = st.lists(st.binary(min_size=1, max_size=63), max_size=6)


@st.composite
def damaged(draw, packet):
    """The packet, or one of several, with a few bytes changed, and cut off or continued."""
    changed = bytearray(packet if isinstance(packet, bytes) else draw(st.sampled_from(packet)))
    for _ in range(draw(st.integers(0, 4))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.integers(0, len(changed)))
    return bytes(changed[: cut or None]) + draw(st.binary(max_size=20))


@st.composite
def queries(draw):
    """A well-formed query of any labels, any type."""
    name = b"".join(bytes((len(label),)) + label for label in draw(labels)) + b"\0"
    qtype = draw(st.integers(0, 300)).to_bytes(2, "big")
    flags = draw(st.sampled_from([0x0100, 0x0120, 0x0110, 0]))
    return b"\0\1" + flags.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\0" + name + qtype + b"\0\1"


@pytest.fixture(scope="module", params=OnFailure)
def responder(request):
    policy = admit_policy()
    policy = replace(policy, policy=replace(policy.policy, dns_on_failure=request.param))
    shared = build_shared()._replace(cookies=Cookies(bytes(16)))
    return Responder(PolicyHolder(policy), lambda event: None, Metrics(), shared)


def whole_header(reply):
    """Upstream takes nothing less for a reply."""
    return len(reply) >= 12


@given(
    packet=st.one_of(st.binary(max_size=600), damaged(QUERY), damaged(PACKETS), queries()),
    reply=damaged(REPLY).filter(whole_header),
)
@example(packet=QUERY, reply=REPLY)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_responder_answers_any_bytes_with_a_message_or_not_at_all(responder, packet, reply):
    for transport in (UDP, TCP):
        outcome = responder.answer(packet, Asker(ip_address("192.0.2.9"), transport), 0.0)
        while isinstance(outcome, Ask):
            outcome = responder.resume(outcome, [reply] * len(outcome.queries), 0.0)
        if outcome is not None:
            assert outcome[:2] == packet[:2]
            assert len(outcome) >= 12
            assert transport == TCP or len(outcome) <= 1232


@given(st.one_of(damaged(QUERY), damaged(PACKETS), queries()))
@settings(max_examples=300)
def test_both_roads_read_the_same_query(packet):
    fast = parse_query(packet)
    if fast is not None:
        assert read_query(packet) == fast


@given(st.one_of(st.binary(max_size=300), damaged(REPLY)))
@settings(max_examples=300)
def test_answer_of_any_bytes_is_read_or_not(reply):
    answer = parse_answer(reply)
    if answer is not None:
        assert all(alias.endswith(b"\0") and len(alias) <= 256 for alias in answer.aliases)
