"""The order of the steps for one query. Sans-I/O: bytes in; bytes, an Ask or nothing out.

    answer(packet)  blocked or failed: bytes. Allowed: an Ask, for the forwarder
    resume(ask, reply)  the answer judged in its turn: bytes

The server carries each Ask to an upstream and the reply back. Each query ends in one
count, and in one record where its verdict wants it.
"""

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from enforcer.audit.event import Record, audit_event
from enforcer.dns.answer import parse_answer
from enforcer.dns.filters import judge_answer
from enforcer.dns.message import read_query
from enforcer.dns.response import Ede, build_blocked, build_failure, fit_udp, pass_on
from enforcer.dns.wire import Query, parse_query
from enforcer.metrics import Metrics
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.decide import decide
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import OnFailure, Plane, Request, Verdict
from enforcer.policy.names import from_wire

UDP, TCP = "udp", "tcp"


class Asker(NamedTuple):
    """Who asks, and over what: ``udp`` or ``tcp``."""

    client: IPv4Address | IPv6Address
    transport: str


class Ask(NamedTuple):
    """A query that an upstream must answer, and what is known of it so far."""

    query: Query
    asker: Asker
    request: Request
    verdict: Verdict


class Responder:
    """One for all sockets."""

    def __init__(self, policy: PolicyHolder, record: Record, metrics: Metrics) -> None:
        self._policy = policy
        self._record = record
        self._queries = metrics.dns_queries
        self._discarded = metrics.dns_discarded

    def answer(self, packet: bytes, asker: Asker, now_s: float) -> bytes | Ask | None:
        """None where nothing may be answered. ``now_s`` is seconds since the epoch."""
        query = parse_query(packet)
        if query is None:
            unusual = read_query(packet)
            if not isinstance(unusual, Query):
                self._discarded.add("malformed" if unusual is None else "unsupported")
                return unusual
            query = unusual
        policy = self._policy.current
        request = Request(Plane.DNS, from_wire(query.name), client=asker.client, time_s=now_s)
        verdict = decide(policy, request)
        if verdict.blocks:
            return self._block(policy, Ask(query, asker, request, verdict))
        return Ask(query, asker, request, verdict)

    def resume(self, ask: Ask, reply: bytes | None) -> bytes:
        """The client's answer, out of an upstream's reply, or None when there was none."""
        policy = self._policy.current
        if reply is None:
            self._discarded.add("upstream_failed")
            return self._fail(ask, Ede.NO_REACHABLE_AUTHORITY, "no upstream answers")
        answer = parse_answer(reply)
        if answer is None:
            self._discarded.add("upstream_failed")
            if policy.policy.dns_on_failure is OnFailure.CLOSED:
                return self._fail(ask, Ede.INVALID_DATA, "the upstream's answer cannot be read")
        # Asked anew: the policy may have been reloaded while the upstream was asked.
        verdict = decide(policy, ask.request)
        if answer and not verdict.blocks:
            verdict = judge_answer(policy, ask.request, answer) or verdict
        if verdict.blocks:
            return self._block(policy, ask._replace(verdict=verdict))
        self._conclude(policy, ask.request, verdict, ask.asker)
        return _fit(ask.query, pass_on(ask.query, reply, answer), ask.asker)

    def overloaded(self, ask: Ask) -> bytes:
        """The answer to a query that there is no room for."""
        self._discarded.add("overloaded")
        return self._fail(ask, Ede.NOT_READY, "too many queries are waiting")

    def _fail(self, ask: Ask, ede: Ede, text: str) -> bytes:
        """SERVFAIL. What the policy said of the question is counted and recorded all the same."""
        self._conclude(self._policy.current, ask.request, ask.verdict, ask.asker)
        return build_failure(ask.query, ede, text)

    def _block(self, policy: CompiledPolicy, ask: Ask) -> bytes:
        query, asker, request, verdict = ask
        self._conclude(policy, request, verdict, asker)
        text = verdict.explain(policy.hint)
        return _fit(query, build_blocked(query, verdict.refusal, verdict.sinkhole, text), asker)

    def _conclude(
        self, policy: CompiledPolicy, request: Request, verdict: Verdict, asker: Asker
    ) -> None:
        self._queries.add(verdict.action.value, asker.transport)
        if verdict.recorded:
            self._record(audit_event(request, verdict, policy.policy.digest))


def _fit(query: Query, response: bytes, asker: Asker) -> bytes:
    return fit_udp(query, response) if asker.transport == UDP else response
