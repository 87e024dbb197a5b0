"""The way of each question to an upstream that answers when it is told to."""

import asyncio
from ipaddress import ip_address

import dns.message
import dns.rcode
import pytest
from unit.dns.desk import CLIENT, Desk, packet_of, reply_to

from enforcer.dns.ask import UDP, Asker
from enforcer.dns.serving import carrier as carrier_module
from enforcer.dns.serving.carrier import Carrier

POLICY = """
version: 1
default: allow
rules:
  - {id: gone, action: block, match: {names: [gone.example]}}
  - {id: silent, action: block, refusal: drop, match: {names: [silent.example]}}
"""
DROPS_ADDRESS = """
version: 1
default: allow
rules: [{id: drop, action: block, refusal: drop, match: {addresses: [192.0.2.80]}}]
"""
SERVERS = """
version: 1
default: allow
delegation: %s
rules: [{id: ns, action: block, match: {nsdnames: [ns.example]}}]
"""
ASKER = Asker(CLIENT, UDP)


class HeldForwarder:
    """Keeps each question until it is told the reply."""

    def __init__(self):
        self.held = []
        self.asked = []

    def submit(self, query, deliver):
        self.asked.append((query.name, query.qtype))
        self.held.append((query, deliver))

    def reply(self, *lines, none=False):
        query, deliver = self.held.pop(0)
        deliver(None if none else reply_to(query, *lines))


class AtOnceForwarder:
    """Answers before ``submit`` is over, as when no upstream is there."""

    def submit(self, query, deliver):
        deliver(None)


class Counter:
    """A carrier, and what was sent."""

    def __init__(self, policy, forwarder=None, **options):
        self.desk = Desk(policy)
        self.forwarder = forwarder or HeldForwarder()
        self.carrier = Carrier(
            self.desk.responder,
            self.forwarder,
            self.desk.metrics,
            lambda: self.desk.now_s,
            **options,
        )
        self.sent = []

    def take(self, name, asker=ASKER, **options):
        self.carrier.take(packet_of(name, **options), asker, self.send)

    def send(self, response):
        self.sent.append(None if response is None else dns.message.from_wire(response))


@pytest.fixture
async def counter(policy_from):
    return Counter(policy_from(POLICY))


async def test_a_blocked_name_is_answered_at_once(counter):
    counter.take("gone.example")
    assert [message.rcode() for message in counter.sent] == [dns.rcode.NXDOMAIN]
    assert counter.carrier.waiting == 0


async def test_what_is_dropped_is_sent_none(counter):
    counter.take("silent.example")
    assert counter.sent == [None]


async def test_a_reply_is_carried_back(counter):
    counter.take("www.example")
    assert (counter.sent, counter.carrier.waiting) == ([], 1)
    counter.forwarder.reply("www.example. 60 IN A 192.0.2.80")
    assert counter.sent[0].answer[0].to_text() == "www.example. 60 IN A 192.0.2.80"
    assert counter.carrier.waiting == 0


async def test_an_upstream_that_fails_before_submit_is_over_is_a_failure(policy_from):
    counter = Counter(policy_from(POLICY), AtOnceForwarder())
    counter.take("www.example")
    assert counter.sent[0].rcode() == dns.rcode.SERVFAIL
    assert counter.carrier.waiting == 0


async def test_so_many_wait_at_most_and_the_next_is_told_so(policy_from):
    counter = Counter(policy_from(POLICY), max_waiting=1)
    counter.take("one.example")
    counter.take("two.example")
    assert counter.sent[0].extended_errors()[0].text == "too many queries are waiting"
    counter.take("gone.example")
    assert counter.sent[1].rcode() == dns.rcode.NXDOMAIN
    counter.forwarder.reply()
    counter.take("three.example")
    assert len(counter.forwarder.held) == 1


async def test_one_client_does_not_keep_the_others_out(policy_from):
    """Names whose servers are silent, asked for as fast as one can."""
    counter = Counter(policy_from(POLICY), max_waiting=8)
    for number in range(3):
        counter.take(f"n{number}.example")
    assert counter.sent[0].extended_errors()[0].text == "too many queries are waiting"
    counter.take("other.example", Asker(ip_address("10.8.0.3"), UDP))
    assert (len(counter.sent), counter.carrier.waiting) == (1, 3)
    for _ in range(3):
        counter.forwarder.reply()
    assert counter.carrier.waiting_of == {}


async def test_questions_side_by_side_are_all_waited_for(policy_from):
    policy = policy_from(
        "{version: 1, default: allow, "
        "rules: [{id: ns, action: block, match: {nsips: [198.51.100.0/24]}}]}"
    )
    counter = Counter(policy)
    counter.take("example.org")
    counter.forwarder.reply("example.org. 60 IN A 192.0.2.80")
    counter.forwarder.reply("example.org. 60 IN NS ns.example.net.")
    assert counter.carrier.waiting == 1
    assert len(counter.forwarder.held) == 2
    counter.forwarder.held.reverse()
    counter.forwarder.reply()
    assert counter.sent == []
    counter.forwarder.reply("ns.example.net. 60 IN A 198.51.100.1")
    assert counter.sent[0].rcode() == dns.rcode.NXDOMAIN


async def test_what_nobody_waits_for_is_asked_too(policy_from):
    counter = Counter(policy_from(SERVERS % "async"))
    counter.take("example.org")
    counter.forwarder.reply("example.org. 60 IN A 192.0.2.80")
    assert counter.sent[0].answer, "the first one is let through"
    assert counter.forwarder.asked[-1] == (b"\7example\3org\0", 2)
    counter.forwarder.reply("example.org. 60 IN NS ns.example.")
    counter.take("example.org")
    assert counter.sent[1].rcode() == dns.rcode.NXDOMAIN
    assert counter.carrier.waiting == 0


async def test_what_nobody_waits_for_is_left_where_there_is_no_room(policy_from):
    counter = Counter(policy_from(SERVERS % "async"), max_waiting=1)
    counter.take("example.org")
    counter.take("two.example")
    counter.forwarder.reply("example.org. 60 IN A 192.0.2.80")
    counter.take("three.example")
    assert counter.carrier.waiting == 1
    assert counter.desk.responder.later == []


async def test_a_drain_waits_until_nothing_waits(policy_from):
    """One question may lead to the next: between the two nothing is over."""
    counter = Counter(policy_from(SERVERS % "strict"))
    counter.take("example.org")
    drain = asyncio.ensure_future(counter.carrier.drain(5))
    await asyncio.sleep(0)
    counter.forwarder.reply("example.org. 60 IN A 192.0.2.80")
    await asyncio.sleep(0.01)
    assert not drain.done()
    counter.forwarder.reply("example.org. 60 IN NS ns.example.net.")
    await drain
    assert counter.sent[0].answer


async def test_a_drain_waits_no_longer_than_it_may(counter):
    counter.take("www.example")
    await counter.carrier.drain(0.01)
    assert counter.carrier.waiting == 1


async def test_a_drain_with_nothing_to_wait_for_is_over(counter):
    await counter.carrier.drain(60)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(carrier_module, "OLDER_AFTER_S", 0.01)


async def expired(counter, name="www.example"):
    """An answer that was good once, asked for again."""
    counter.take(name)
    counter.forwarder.reply(f"{name}. 60 IN A 192.0.2.80")
    counter.sent.clear()
    counter.desk.now_s += 100
    counter.take(name)


async def test_who_waits_long_gets_the_answer_from_before(counter, impatient):
    await expired(counter)
    assert counter.sent == []
    await asyncio.sleep(0.03)
    assert counter.sent[0].answer[0].ttl == 30
    assert counter.desk.origin("stale") == 1
    counter.forwarder.reply("www.example. 60 IN A 192.0.2.99")
    assert len(counter.sent) == 1, "once"
    counter.take("www.example")
    assert counter.sent[1].answer[0].to_text() == "www.example. 60 IN A 192.0.2.99"
    assert counter.desk.queries("allow") == 3


async def test_who_is_answered_in_time_gets_nothing_older(counter, impatient):
    await expired(counter)
    counter.forwarder.reply("www.example. 60 IN A 192.0.2.99")
    await asyncio.sleep(0.03)
    assert [message.answer[0].to_text() for message in counter.sent] == [
        "www.example. 60 IN A 192.0.2.99"
    ]


async def test_an_older_answer_that_the_policy_drops_is_dropped_and_counted_once(
    counter, impatient, policy_from
):
    await expired(counter)
    counter.desk.policy.current = policy_from(DROPS_ADDRESS)
    await asyncio.sleep(0.03)
    assert counter.sent == [None]
    counter.forwarder.reply("www.example. 60 IN A 192.0.2.80")
    assert counter.sent == [None]
    assert counter.desk.queries("block") == 1
    assert len(counter.desk.events) == 1


async def test_an_older_answer_that_is_gone_is_waited_for(counter, impatient):
    await expired(counter)
    counter.desk.shared.cache.clear()
    await asyncio.sleep(0.03)
    assert counter.sent == []
    counter.forwarder.reply("www.example. 60 IN A 192.0.2.99")
    assert len(counter.sent) == 1


class Faulty:
    """A responder with a bug in one of its steps."""

    def __init__(self, responder, step):
        self._responder = responder
        self._step = step

    def __getattr__(self, name):
        if name == self._step:
            raise RuntimeError("a bug")
        return getattr(self._responder, name)


@pytest.mark.parametrize("step", ["answer", "resume", "give_older"])
async def test_a_fault_of_our_own_takes_nothing_down(counter, impatient, caplog, step):
    await expired(counter, "www.example")
    faulty = Faulty(counter.desk.responder, step)
    counter.carrier._responder = faulty
    counter.take("other.example")
    await asyncio.sleep(0.03)
    while counter.forwarder.held:
        counter.forwarder.reply("www.example. 60 IN A 192.0.2.80")
    assert len(counter.sent) == 2, "each is told, be it that there is no answer"
    assert counter.carrier.waiting == 0
    assert counter.desk.discarded("internal_error") >= 1
    assert "a query failed for a reason of our own" in caplog.text
