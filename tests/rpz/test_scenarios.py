"""Plays the scenarios of this folder; README.md says how they are written."""

from ipaddress import ip_address
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from rpz.scenario import Question, Scenario, read_question
from rpz.upstream import Upstream

from enforcer.dns.ask import UDP, Ask, Asker
from enforcer.dns.responder import Responder
from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*/*.yaml"))
ASKED = "upstream_asked"
# A question leads to so many rounds of others at most, else something goes round in circles.
MAX_ASKS = 64


class Gateway:
    """A responder, its upstream, and what it counted and recorded."""

    def __init__(self, policy, upstream):
        self.upstream = upstream
        self.metrics = Metrics()
        self.policy = PolicyHolder(policy)
        self._events = []
        self._responder = Responder(self.policy, self._events.append, self.metrics)

    def ask(self, question: Question) -> dns.message.Message | None:
        packet = dns.message.make_query(
            question.name, question.qtype, use_edns=0 if question.edns else -1
        ).to_wire()
        response = self._ask(packet, Asker(ip_address(question.client), question.over), question)
        while self._responder.later:
            self._carry(self._responder.later.pop(), question.now_s)
        return None if response is None else dns.message.from_wire(response)

    def _ask(self, packet: bytes, asker: Asker, question: Question) -> bytes | None:
        """The quick way first, as for each datagram that comes in."""
        if question.over == UDP:
            quick = self._responder.quick
            quick.begin(question.now_s)
            if (response := quick.answer(packet, asker.client.packed)) is not None:
                return response
        outcome = self._responder.answer(packet, asker, question.now_s)
        for _ in range(MAX_ASKS):
            if not isinstance(outcome, Ask):
                return outcome
            outcome = self._carry(outcome, question.now_s)
        raise AssertionError(f"{question.name} leads to more than {MAX_ASKS} rounds")

    def _carry(self, ask: Ask, now_s: float) -> bytes | Ask | None:
        replies = [
            self.upstream.reply(
                dns.message.make_query(
                    dns.name.from_wire(query.question, 0)[0], query.qtype, use_edns=0
                ).to_wire()
            )
            for query in ask.queries
        ]
        return self._responder.resume(ask, replies, now_s)

    def drain(self):
        """The events since the last time."""
        events = [*self._events, *self._responder.quick.drain()]
        self._events.clear()
        return events

    def counted(self):
        return {labels: cell.value for labels, cell in self.metrics.dns_queries.cells.items()}


@pytest.mark.parametrize("path", FILES, ids=[f"{p.parent.name}/{p.stem}" for p in FILES])
def test_scenario(path, policy_from):
    scenario = Scenario(path)
    gateway = Gateway(policy_from(scenario.policy(), **scenario.files), Upstream(scenario.upstream))
    for step in scenario.steps:
        if "reload" in step:
            gateway.policy.current = policy_from(scenario.policy(step["reload"]), **scenario.files)
        elif "upstream" in step:
            gateway.upstream.set(step["upstream"])
        else:
            question = read_question(step)
            play(gateway, question, question.expected)
            # Whoever asks the same again gets the same, though it comes another way.
            again = {key: question.expected[key] for key in question.expected if key != ASKED}
            play(gateway, question, again)


def play(gateway, question, expected):
    before = gateway.counted()
    gateway.upstream.asked.clear()

    message = gateway.ask(question)

    seen = seen_on_record(gateway, before) | seen_in_answer(message)
    expected = {"answers": [], "rule": None, "silent": False} | expected
    if expected["silent"]:
        del expected["answers"]
    expected = {
        key: sorted(value) if key == "answers" else value for key, value in expected.items()
    }
    assert {key: seen.get(key) for key in expected} == expected, f"{question.name}: {message}"


def seen_on_record(gateway, before):
    counted = gateway.counted()
    actions = [labels[0] for labels in counted if counted[labels] != before[labels]]
    assert sum(counted.values()) == sum(before.values()) + 1, "one question, one count"
    (event,) = gateway.drain() or (None,)
    if event:
        assert [event.action] == actions
    return {
        "action": actions[0],
        "rule": event.rule if event else None,
        "recorded_name": event.name if event else None,
        ASKED: list(gateway.upstream.asked),
    }


def seen_in_answer(message):
    if message is None:
        return {"silent": True}
    records = [(rrset, rdata) for rrset in message.answer for rdata in rrset]
    ttls = {rrset.ttl for rrset, _ in records}
    (error,) = message.extended_errors() or (None,)
    return {
        "silent": False,
        "rcode": dns.rcode.to_text(message.rcode()),
        "answers": sorted(
            f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text()}"
            for rrset, rdata in records
        ),
        "ttl": ttls.pop() if len(ttls) == 1 else None,
        "truncated": bool(message.flags & dns.flags.TC),
        "soa": any(rrset.rdtype == dns.rdatatype.SOA for rrset in message.authority),
        "ede": error.code if error else None,
        "ede_text": error.text if error else None,
        "question": message.question[0].name.to_text(),
    }


def test_there_are_scenarios_for_every_trigger():
    folders = {path.parent.name for path in FILES}
    assert folders >= {
        *("qname", "cname", "dname", "address", "nsdname", "nsip", "client", "qtype", "window"),
        *("action", "precedence", "cache", "https"),
    }
