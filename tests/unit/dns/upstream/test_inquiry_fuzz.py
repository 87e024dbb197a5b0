"""Whatever upstreams do, a question ends once, in time, after a bounded number of sendings."""

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.dns.fake_channel import RCODES, FakeChannel, build_fake_link

from enforcer.dns.packets.wire import Edns, Query
from enforcer.dns.upstream.attempt import Ending
from enforcer.dns.upstream.inquiry import MAX_ATTEMPTS, MAX_REPEATS, Group, Inquiry, Limits
from enforcer.metrics import Metrics
from enforcer.settings.upstream import Upstream

QUESTION = b"\1X\4test\0\0\1\0\1"
BAD_VERSION = b"\0\0\x29\4\xd0\1\0\0\0\0\0"
FALSE_COOKIE = b"\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\x08notoursx"
WORDS = [*RCODES, *Ending, "truncated", "silence", "other case", BAD_VERSION, FALSE_COOKIE]
scripts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)
LIMITS = Limits(timeout_s=1.0, total_s=3.0)


@given(
    st.lists(st.tuples(scripts, scripts), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
    st.integers(1, 5),
)
@settings(max_examples=150, deadline=None)
def test_a_question_ends_once_and_in_time(upstreams, cookies, edns, rounds):
    metrics = Metrics()
    channels = []
    links = []
    for number, (first, stream) in enumerate(upstreams):
        pair = FakeChannel(*first), FakeChannel(*stream)
        channels += pair
        upstream = Upstream(f"192.0.2.{number}")
        links.append(build_fake_link(upstream, metrics, *pair, cookies=cookies))
    group = Group(links)
    query = Query(
        7, 0x0100, QUESTION.lower()[:-4], 1, QUESTION, Edns(1232, do=False) if edns else None
    )
    now_s = 0.0
    for _ in range(rounds):
        before = sum(len(channel.sent) for channel in channels)
        delivered, ended = [], []
        inquiry = Inquiry(query, "key", group, LIMITS, ended.append, now_s)
        inquiry.join(query, delivered.append)
        inquiry.begin(now_s)
        started_s = now_s
        while not inquiry.is_over:
            assert inquiry.due_s > now_s
            now_s = inquiry.due_s
            inquiry.tick(now_s)
        assert now_s <= started_s + LIMITS.total_s
        assert (len(delivered), len(ended)) == (1, 1)
        assert delivered[0] is None or delivered[0][12:].startswith(QUESTION)
        sent = sum(len(channel.sent) for channel in channels) - before
        assert sent <= MAX_ATTEMPTS + MAX_REPEATS + 1
        now_s += 0.5
