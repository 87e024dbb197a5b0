"""Who is asked for which name, one question for all who ask it, and an end to all waiting."""

import asyncio

import pytest
from unit.dns.fake_channel import FakeChannel, build_fake_link, build_reply

from enforcer.dns.packets.wire import Edns, Query
from enforcer.dns.upstream.forwarder import Forwarder
from enforcer.dns.upstream.reply_match import restore_question
from enforcer.metrics import Metrics
from enforcer.policy.names import to_wire
from enforcer.settings.upstream import Upstream

FIRST, SECOND, CORP = (Upstream(f"192.0.2.{number}") for number in (1, 2, 3))
NOERROR, CORP_ONLY = 0, [(("corp.example",), (CORP,))]


def query(name="www.example", ident=77, **changes):
    wire = to_wire(name)
    return Query(ident, 0x0100, wire, 1, wire.upper() + b"\0\1\0\1", None)._replace(**changes)


def answer(asked):
    return restore_question(build_reply(asked.question), asked.id, asked.question)


class Upstreams:
    """A forwarder whose upstreams follow scripts."""

    def __init__(self, scripts, **options):
        self.channels = {upstream: FakeChannel(*script) for upstream, script in scripts.items()}
        self.metrics = Metrics()
        default = [upstream for upstream in scripts if upstream is not CORP]
        options = {"timeout_s": 0.1, "total_timeout_s": 0.2, **options}
        self.forwarder = Forwarder(default, metrics=self.metrics, build=self._build, **options)

    def _build(self, upstream, options, metrics, random, monotonic):
        return build_fake_link(upstream, metrics, self.channels[upstream])

    def asked(self, upstream):
        return len(self.channels[upstream].sent)


@pytest.fixture
def upstreams():
    made = []

    def build(scripts, **options):
        made.append(Upstreams(scripts, **options))
        return made[-1]

    yield build
    for one in made:
        one.forwarder.close()
        assert all(channel.closed for channel in one.channels.values())


async def test_the_reply_has_the_clients_id_and_letters(upstreams):
    asked = query()
    assert await upstreams({FIRST: ["ok"]}).forwarder.ask(asked) == answer(asked)


async def test_without_upstreams_there_is_no_reply():
    assert await Forwarder((), timeout_s=1, metrics=Metrics()).ask(query()) is None


async def test_names_below_a_suffix_go_to_its_upstreams_and_to_no_other(upstreams):
    asked = upstreams({FIRST: ["ok"], CORP: ["servfail"]}, forward=CORP_ONLY)
    await asked.forwarder.ask(query("www.corp.example"))
    assert (asked.asked(FIRST), asked.asked(CORP)) == (0, 2)
    await asked.forwarder.ask(query("corp.example.org"))
    assert asked.asked(FIRST) == 1
    assert asked.forwarder.has_own_upstreams(to_wire("corp.example"))
    assert not asked.forwarder.has_own_upstreams(to_wire("example"))


async def test_the_same_question_is_asked_once_at_a_time(upstreams):
    asked = upstreams({FIRST: ["silence"]})
    questions = [query(ident=1), query(ident=2, question=query().question.lower())]
    waiting = [asyncio.ensure_future(asked.forwarder.ask(question)) for question in questions]
    await asyncio.sleep(0)
    [sent] = asked.channels[FIRST].sent
    asked.channels[FIRST].say("ok", sent)
    assert await asyncio.gather(*waiting) == [answer(question) for question in questions]
    assert asked.metrics.dns_coalesced.cell().value == 1


@pytest.mark.parametrize(
    "other",
    [
        query("ftp.example"),
        query(qtype=28),
        query(flags=0x0110),
        query(flags=0x0120),
        query(edns=Edns(1232, do=False)),
        query(edns=Edns(1232, do=True)),
    ],
)
async def test_what_differs_for_the_upstream_is_another_question(upstreams, other):
    asked = upstreams({FIRST: ["silence"]})
    for each in (query(), other):
        asked.forwarder.submit(each, lambda reply: None)
    assert asked.asked(FIRST) == 2


async def test_whoever_leaves_does_not_take_the_others_with_him(upstreams):
    asked = upstreams({FIRST: ["silence"]})
    leaving, staying = (asyncio.ensure_future(asked.forwarder.ask(query())) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    asked.channels[FIRST].say("ok", asked.channels[FIRST].sent[0])
    assert await staying == answer(query())


async def test_silence_ends_within_the_time_for_all_of_it(upstreams):
    asked = upstreams({FIRST: ["silence"], SECOND: ["silence"]})
    async with asyncio.timeout(1):
        assert await asked.forwarder.ask(query()) is None
    await asyncio.sleep(0.15)
    counts = asked.metrics.dns_upstream_queries
    timeouts = sum(counts.cell(str(each), "timeout").value for each in (FIRST, SECOND))
    assert timeouts == asked.asked(FIRST) + asked.asked(SECOND)


async def test_closing_tells_whoever_still_waits(upstreams):
    asked = upstreams({FIRST: ["silence"]})
    waiting = asyncio.ensure_future(asked.forwarder.ask(query()))
    await asyncio.sleep(0)
    asked.forwarder.close()
    assert await waiting is None


@pytest.mark.parametrize(("forwarded", "sent"), [(False, b""), (True, b"\0\x08\0\x04\0\1\0\0")])
async def test_a_clients_subnet_is_passed_on_only_where_the_settings_say_so(
    upstreams, forwarded, sent
):
    asked = upstreams({FIRST: ["ok"]}, forward_client_subnet=forwarded)
    edns = Edns(1232, do=False, client_subnet=b"\0\1\0\0")
    await asked.forwarder.ask(query(edns=edns))
    assert asked.channels[FIRST].sent[0].opt[11:] == sent


async def test_each_upstream_has_its_series_from_the_start(upstreams):
    asked = upstreams({FIRST: ["ok"], CORP: ["ok"]}, forward=CORP_ONLY)
    scraped = asked.metrics.render()[0].decode()
    for upstream in (FIRST, CORP):
        assert f'enforcer_dns_upstream_healthy{{upstream="{upstream}"}} 1.0' in scraped
