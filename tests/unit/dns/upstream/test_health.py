"""Who of several upstreams is asked: the fastest that is well; time is an argument."""

import pytest

from enforcer.dns.upstream.health import (
    FIRST_PATIENCE_S,
    MAX_BACK_OFF_S,
    MIN_PATIENCE_S,
    REVIEW_S,
    SILENT_IN_A_ROW,
    TRIAL_EVERY,
    UNHELPFUL_IN_A_ROW,
    Choice,
    Health,
)


@pytest.fixture
def healths():
    return [Health(), Health(), Health()]


def test_in_the_order_of_the_settings_until_something_is_known(healths):
    assert Choice(healths).order(0) == (0, 1, 2)


def test_the_fastest_is_first_and_what_was_never_measured_last(healths):
    healths[1].replied(0.02)
    healths[2].replied(0.01)
    assert Choice(healths).order(0) == (2, 1, 0)


def test_one_slow_reply_does_not_make_an_upstream_slow(healths):
    for _ in range(20):
        healths[0].replied(0.010)
        healths[1].replied(0.030)
    healths[0].replied(0.1)
    assert Choice(healths).order(0)[0] == 0
    for _ in range(20):
        healths[0].replied(0.1)
    assert Choice(healths).order(0)[0] == 1


def test_one_that_failed_comes_last_until_it_replies(healths):
    choice = Choice(healths)
    healths[0].replied(0.001)
    healths[0].failed(0)
    assert choice.order(0) == (1, 2, 0)
    healths[0].replied(0.001)
    choice.review()
    assert choice.order(0) == (0, 1, 2)


def test_the_order_is_not_made_anew_for_each_query(healths):
    choice = Choice(healths)
    assert choice.order(0) == (0, 1, 2)
    healths[0].failed(0)
    assert choice.order(REVIEW_S / 2) == (0, 1, 2)
    assert choice.order(REVIEW_S) == (1, 2, 0)


def test_each_failure_in_a_row_doubles_the_time_passed_over():
    health = Health()
    waits = []
    for _ in range(9):
        health.failed(100.0)
        waits.append(health.retry_at_s - 100.0)
    assert waits == [1, 2, 4, 8, 16, 32, MAX_BACK_OFF_S, MAX_BACK_OFF_S, MAX_BACK_OFF_S]
    health.replied(0.01)
    assert health.is_well


def test_silence_is_forgiven_a_few_times():
    health = Health()
    for _ in range(SILENT_IN_A_ROW - 1):
        health.was_silent(0)
    assert health.is_well
    health.was_silent(0)
    assert not health.is_well
    health.replied(0.01)
    assert health.is_well


def test_one_that_only_refuses_is_passed_over_in_the_end():
    health = Health()
    for _ in range(UNHELPFUL_IN_A_ROW - 1):
        health.was_unhelpful(0)
    assert health.is_well
    health.was_unhelpful(0)
    assert not health.is_well


def test_patience_grows_with_what_an_upstream_takes():
    health = Health()
    assert health.patience_s(2.0) == FIRST_PATIENCE_S
    assert health.patience_s(0.1) == 0.1
    for _ in range(50):
        health.replied(0.001)
    assert health.patience_s(2.0) == MIN_PATIENCE_S
    for _ in range(50):
        health.replied(0.5)
    assert 0.5 < health.patience_s(2.0) < 1.0


def test_one_that_failed_is_tried_beside_the_first_once_its_time_has_come(healths):
    for health in healths:
        health.replied(0.01)
    choice = Choice(healths)
    healths[2].failed(0)
    choice.order(0.5)
    assert choice.trial(0.5) is None
    choice.order(1.5)
    assert choice.trial(1.5) == 2
    # Once: nobody knows yet how it ends.
    assert choice.trial(1.5) is None


def test_one_that_was_never_measured_is_tried_at_once(healths):
    choice = Choice(healths)
    choice.order(0)
    assert [choice.trial(0) for _ in range(3)] == [1, 2, None]


def test_others_are_tried_now_and_then_to_know_how_fast_they_are(healths):
    for health in healths:
        health.replied(0.01)
    choice = Choice(healths)
    choice.order(0)
    tried = [choice.trial(0) for _ in range(TRIAL_EVERY * 6)]
    assert {index for index in tried if index is not None} == {1, 2}
    assert sum(index is not None for index in tried) == 4
