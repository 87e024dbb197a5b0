"""How often one client may ask: what it may save up, and what it may not."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.serving.rate import BURST_S, RateLimit, client_key

DESK, OTHER = b"\x0a\0\0\1", b"\x0a\0\0\2"


def taken(limit, key, now_s, asked=1000):
    return sum(limit.take(key, now_s) for _ in range(asked))


def test_a_client_may_ask_as_often_as_it_likes_within_a_burst():
    limit = RateLimit(10)
    assert taken(limit, DESK, 100.0) == 10 * BURST_S
    assert not limit.take(DESK, 100.0)


def test_what_was_used_up_comes_back_at_the_rate():
    limit = RateLimit(10)
    taken(limit, DESK, 100.0)
    assert taken(limit, DESK, 100.5) == 5
    assert taken(limit, DESK, 1000.0) == 10 * BURST_S


def test_who_asks_too_often_all_the_time_still_gets_the_rate():
    limit = RateLimit(10)
    taken(limit, DESK, 0.0)
    assert sum(taken(limit, DESK, step / 100, asked=3) for step in range(1, 1001)) == 100


def test_clients_do_not_share():
    limit = RateLimit(10)
    taken(limit, DESK, 100.0)
    assert taken(limit, OTHER, 100.0) == 10 * BURST_S


def test_less_than_one_query_a_burst_is_still_one_query():
    limit = RateLimit(0.1)
    assert taken(limit, DESK, 100.0) == 1
    assert taken(limit, DESK, 109.0) == 0
    assert taken(limit, DESK, 110.0) == 1


def test_a_clock_that_is_set_back_locks_nobody_out():
    limit = RateLimit(10)
    taken(limit, DESK, 100_000.0)
    assert taken(limit, DESK, 50.0) == 0
    assert taken(limit, DESK, 51.0) == 10


def test_memory_is_bounded_by_the_clients_of_two_bursts():
    limit = RateLimit(10)
    for second in range(100):
        for number in range(50):
            limit.take(bytes((second, number)), float(second))
    assert len(limit) <= 50 * (2 * BURST_S + 2)


def test_memory_is_bounded_whoever_comes():
    limit = RateLimit(10, max_clients=100)
    for number in range(10_000):
        limit.take(number.to_bytes(4, "big"), 0.0)
    assert len(limit) <= 200


def test_turning_over_forgets_nobody_who_asks_too_often():
    limit = RateLimit(10)
    granted = 0
    for step in range(1000):
        limit.take(step.to_bytes(4, "big"), step / 50)
        granted += limit.take(DESK, step / 50)
    assert granted <= 10 * BURST_S + 10 * 20


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_hosts_of_one_v6_network_share_a_bucket(first, second, shared):
    assert (client_key(ip_address(first)) == client_key(ip_address(second))) is shared


@given(
    st.lists(st.tuples(st.sampled_from([DESK, OTHER]), st.floats(0, 2)), max_size=60),
    st.floats(0.5, 50),
)
def test_nobody_gets_more_than_the_burst_and_the_rate(steps, rate):
    limit = RateLimit(rate)
    now_s, got = 0.0, {DESK: 0, OTHER: 0}
    for key, wait_s in steps:
        now_s += wait_s
        got[key] += limit.take(key, now_s)
    for count in got.values():
        assert count <= max(1, rate * BURST_S) + rate * now_s + 1e-3
