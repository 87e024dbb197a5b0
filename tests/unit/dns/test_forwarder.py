"""Which upstream is asked, and which after it, with upstreams that are functions."""

import asyncio

import pytest

from enforcer.dns.forwarder import PASSED_OVER_S, Forwarder
from enforcer.dns.upstream import UpstreamError, build_upstream_query
from enforcer.dns.wire import Edns, Query, parse_query
from enforcer.metrics import Metrics
from enforcer.settings.endpoint import Endpoint

FIRST, SECOND = Endpoint("192.0.2.1", 53), Endpoint("192.0.2.2", 53)
QUESTION = b"\1X\4test\0\0\1\0\1"
QUERY = Query(77, 0x0120, b"\1x\4test\0", 1, QUESTION, None)
NOERROR, SERVFAIL, REFUSED = 0, 2, 5


def reply(rcode=NOERROR):
    return bytes((0, 0, 0x81, 0x80 | rcode)) + b"\0" * 8


class Upstreams:
    """Each upstream does what its entry says: gives a reply, raises, or never comes back."""

    def __init__(self, clock, **behaviour):
        self.behaviour = behaviour
        self.asked = []
        self.metrics = Metrics()
        addresses = {"first": FIRST, "second": SECOND}
        self._names = {addresses[name]: name for name in behaviour}
        self.forwarder = Forwarder(
            tuple(self._names),
            timeout_s=0.05,
            metrics=self.metrics,
            exchange=self._exchange,
            monotonic=clock,
        )

    async def _exchange(self, upstream, query, question):
        assert question == QUESTION
        assert query.endswith(QUESTION)
        name = self._names[upstream]
        self.asked.append(name)
        behaviour = self.behaviour[name]
        if behaviour == "silence":
            await asyncio.Event().wait()
        if isinstance(behaviour, str):
            raise UpstreamError(behaviour)
        return behaviour

    async def ask(self):
        self.asked.clear()
        return await self.forwarder.ask(QUERY)

    def counted(self, result):
        return self.metrics.dns_upstream_queries.cell(result).value


async def test_first_upstream_is_asked_and_no_other(clock):
    upstreams = Upstreams(clock, first=reply(), second=reply())
    assert await upstreams.ask() == reply()
    assert upstreams.asked == ["first"]
    assert upstreams.counted("answered") == 1


@pytest.mark.parametrize("fault", ["silence", "unreachable", "malformed"])
async def test_next_upstream_is_asked_when_one_fails(clock, fault):
    upstreams = Upstreams(clock, first=fault, second=reply())
    assert await upstreams.ask() == reply()
    assert upstreams.asked == ["first", "second"]
    assert upstreams.counted("timeout" if fault == "silence" else fault) == 1


async def test_upstream_that_failed_is_passed_over_for_a_while(clock):
    upstreams = Upstreams(clock, first="unreachable", second=reply())
    await upstreams.ask()
    await upstreams.ask()
    assert upstreams.asked == ["second"]
    clock.advance(PASSED_OVER_S)
    await upstreams.ask()
    assert upstreams.asked == ["first", "second"]


async def test_upstream_that_failed_is_asked_when_the_others_fail_too(clock):
    upstreams = Upstreams(clock, first="unreachable", second="unreachable")
    assert await upstreams.ask() is None
    upstreams.behaviour["first"] = reply()
    assert await upstreams.ask() == reply()


@pytest.mark.parametrize("rcode", [SERVFAIL, REFUSED])
async def test_unhelpful_reply_gives_way_to_a_better_one(clock, rcode):
    upstreams = Upstreams(clock, first=reply(rcode), second=reply())
    assert await upstreams.ask() == reply()


async def test_unhelpful_reply_is_used_when_there_is_no_better_one(clock):
    upstreams = Upstreams(clock, first=reply(SERVFAIL), second=reply(REFUSED))
    assert await upstreams.ask() == reply(SERVFAIL)


async def test_single_upstream_is_asked_twice(clock):
    upstreams = Upstreams(clock, first="silence")
    assert await upstreams.ask() is None
    assert upstreams.asked == ["first", "first"]


async def test_without_upstreams_there_is_no_reply():
    assert await Forwarder((), timeout_s=1, metrics=Metrics()).ask(QUERY) is None


def test_upstream_query_has_the_question_and_nothing_else_of_the_client():
    built = build_upstream_query(QUERY)
    assert parse_query(built)[1:] == QUERY[1:]


def test_upstream_query_asks_with_our_own_size_and_the_clients_do():
    built = build_upstream_query(QUERY._replace(edns=Edns(4096, do=True)))
    assert parse_query(built).edns == Edns(1232, do=True)


def test_ids_are_not_the_clients_and_not_repeated():
    ids = {build_upstream_query(QUERY)[:2] for _ in range(64)}
    assert len(ids) > 32
