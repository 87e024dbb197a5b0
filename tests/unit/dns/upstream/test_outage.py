"""What the log says of an upstream that stops answering, and how often."""

import logging

import pytest
from unit.dns.fake_channel import FakeChannel, build_fake_link

from enforcer.dns.upstream.attempt import Ending
from enforcer.dns.upstream.health import UNHELPFUL_IN_A_ROW
from enforcer.dns.upstream.outage import QUIET_S
from enforcer.metrics import Metrics
from enforcer.settings.upstream import Upstream

GONE = "the upstream 192.0.2.1:53 does not answer: timeout"
BACK = "the upstream 192.0.2.1:53 answers again"


class Desk:
    """A link whose fate the test tells, and the lines that this leads to."""

    def __init__(self, caplog):
        caplog.set_level(logging.WARNING)
        self.lines = caplog
        self.channel = FakeChannel("silence")
        self.link = build_fake_link(Upstream("192.0.2.1"), Metrics(), self.channel)

    def fails(self, now_s, ending=Ending.TIMEOUT, channel=None):
        self.link.has_failed(channel or self.channel, ending, now_s)

    def said(self):
        return self.lines.messages


@pytest.fixture
def desk(caplog):
    return Desk(caplog)


def test_an_upstream_that_answers_is_not_spoken_of(desk):
    desk.link.was_heard(0.01)
    assert desk.said() == []


def test_an_outage_is_told_once_when_it_begins_and_once_when_it_is_over(desk):
    for now_s in range(0, 600, 2):
        desk.fails(float(now_s))
    assert desk.said() == [GONE]
    for _ in range(3):
        desk.link.was_heard(0.01)
    assert desk.said() == [GONE, BACK]


def test_one_that_comes_and_goes_is_told_once_a_minute(desk):
    for now_s in (0.0, 1.0, QUIET_S - 1):
        desk.fails(now_s)
        desk.link.was_heard(0.01)
    assert desk.said() == [GONE, BACK]
    desk.fails(QUIET_S)
    assert desk.said() == [GONE, BACK, GONE]


def test_an_outage_that_began_in_the_quiet_minute_is_told_after_it(desk):
    desk.fails(0.0)
    desk.link.was_heard(0.01)
    desk.fails(1.0)
    desk.fails(QUIET_S + 1)
    assert desk.said() == [GONE, BACK, GONE]


def test_an_upstream_that_is_not_trusted_is_told_once_and_why(desk):
    desk.channel.distrust = "Hostname mismatch"
    for now_s in range(0, 600, 2):
        desk.fails(float(now_s), Ending.UNTRUSTED)
    told = "the upstream 192.0.2.1:53 is not trusted: Hostname mismatch"
    assert desk.said() == [told]
    desk.link.was_heard(None)
    assert desk.said() == [told, BACK]


def test_another_trouble_is_told_too_but_not_within_a_minute(desk):
    desk.fails(0.0)
    desk.fails(1.0, Ending.UNTRUSTED)
    assert desk.said() == [GONE]
    desk.fails(QUIET_S, Ending.UNTRUSTED)
    assert len(desk.said()) == 2


def test_one_that_resolves_nothing_is_told_when_it_is_passed_over(desk):
    for _ in range(UNHELPFUL_IN_A_ROW - 1):
        desk.link.was_unhelpful(0.0)
    assert desk.said() == []
    desk.link.was_unhelpful(0.0)
    desk.link.was_unhelpful(0.0)
    [line] = desk.said()
    assert "cannot or will not resolve: 8 times in a row" in line


def test_a_failure_of_the_way_beside_is_no_outage(desk):
    desk.fails(0.0, Ending.UNREACHABLE, FakeChannel("silence"))
    assert desk.said() == []
