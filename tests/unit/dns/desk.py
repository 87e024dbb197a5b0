"""A responder with all that is around it, without a socket: who asks, upstream, and the clock."""

from ipaddress import ip_address

import dns.message
import dns.name
import dns.rrset
from rpz.upstream import Upstream

from enforcer.dns.ask import UDP, Ask, Asker
from enforcer.dns.cache import Cache, CacheLimits
from enforcer.dns.responder import Responder, build_shared
from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder

CLIENT = ip_address("10.8.0.2")
# One question leads to so many rounds of others at most.
MAX_ROUNDS = 40


def packet_of(name, qtype="A", **options):
    options = {"use_edns": 0, "id": 7, **options}
    return dns.message.make_query(name, qtype, **options).to_wire()


def reply_to(query, *lines, rcode=0):
    """Upstream's reply to a Query, with these lines in its answer section."""
    asked = dns.message.make_query(
        dns.name.from_wire(query.question, 0)[0], query.qtype, use_edns=0, id=query.id
    )
    reply = dns.message.make_response(asked, recursion_available=True)
    reply.set_rcode(rcode)
    for line in lines:
        reply.answer.append(dns.rrset.from_text(*line.split(maxsplit=4)))
    return reply.to_wire(max_size=65535)


class Desk:
    """``upstream`` is what it knows, as zone file lines, or "down"."""

    def __init__(self, policy, upstream="", *, now_s=1000.0, limits=None, **shared):
        self.events = []
        self.metrics = Metrics()
        self.policy = PolicyHolder(policy)
        self.shared = build_shared()._replace(cache=Cache(limits or CacheLimits()), **shared)
        self.responder = Responder(self.policy, self.events.append, self.metrics, self.shared)
        self.upstream = Upstream(upstream)
        self.now_s = now_s

    def ask(self, name, qtype="A", *, client=CLIENT, transport=UDP, **options):
        """The first step: bytes, an Ask or None."""
        packet = packet_of(name, qtype, **options)
        return self.responder.answer(packet, Asker(client, transport), self.now_s)

    def answer(self, name, *lines, **options):
        """What the client gets when the upstream's answer section has these lines."""
        ask = self.ask(name, **options)
        assert isinstance(ask, Ask), f"{name} is not asked upstream"
        return self.resume(ask, reply_to(ask.queries[0], *lines))

    def resume(self, ask, *replies):
        outcome = self.responder.resume(ask, replies, self.now_s)
        return dns.message.from_wire(outcome) if isinstance(outcome, bytes) else outcome

    def look_up(self, name, qtype="A", **options):
        """The whole general road; None where nothing is answered."""
        response = self.settle(self.ask(name, qtype, **options))
        return None if response is None else dns.message.from_wire(response)

    def settle(self, outcome):
        """Ask upstream until there is nothing more to be asked."""
        for _ in range(MAX_ROUNDS):
            if not isinstance(outcome, Ask):
                return outcome
            outcome = self.carry(outcome)
        raise AssertionError("it goes round in circles")

    def carry(self, ask):
        replies = [self.upstream.reply(_packet(query)) for query in ask.queries]
        return self.responder.resume(ask, replies, self.now_s)

    def carry_later(self):
        """What nobody waits for; how many there were."""
        later = len(self.responder.later)
        while self.responder.later:
            self.settle(self.responder.later.pop())
        return later

    def quickly(self, packet, client=CLIENT):
        """The quick road, as for each batch of datagrams."""
        quick = self.responder.quick
        quick.begin(self.now_s)
        return quick.answer(packet, client.packed)

    def queries(self, action, transport=UDP):
        return self.metrics.dns_queries.cell(action, transport).value

    def origin(self, name):
        return self.metrics.dns_answers.cell(name).value

    def discarded(self, reason):
        return self.metrics.dns_discarded.cell(reason).value


def _packet(query):
    name = dns.name.from_wire(query.question, 0)[0]
    return dns.message.make_query(name, query.qtype, use_edns=0).to_wire()
