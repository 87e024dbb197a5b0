"""One question on its way: who is asked, what a reply is worth, and who is asked next."""

import pytest
from unit.dns.fake_channel import FakeChannel, build_fake_link, build_reply

from enforcer.dns.packets.wire import Edns, Query
from enforcer.dns.upstream.attempt import Ending
from enforcer.dns.upstream.health import FIRST_PATIENCE_S
from enforcer.dns.upstream.inquiry import MAX_REPEATS, Group, Inquiry, Limits
from enforcer.dns.upstream.reply_match import Mismatch, restore_question
from enforcer.metrics import Metrics
from enforcer.settings.upstream import Upstream

QUESTION = b"\1X\4test\0\0\1\0\1"
QUERY = Query(77, 0x0120, b"\1x\4test\0", 1, QUESTION, None)
UPSTREAMS = tuple(Upstream(f"192.0.2.{number}") for number in range(1, 5))
LIMITS = Limits(timeout_s=2.0, total_s=5.0)
COOKIE_OPT = b"\0\0\x29\4\xd0\0\0\0\0\0\x18\0\x0a\0\x14"


class Desk:
    """An inquiry to upstreams that follow scripts, and what was delivered."""

    def __init__(self, *firsts, streams=(), query=QUERY, cookies=False, limits=LIMITS):
        self.metrics = Metrics()
        self.firsts = firsts
        padded = (*streams, *[None] * (len(firsts) - len(streams)))
        self.links = [
            build_fake_link(upstream, self.metrics, first, stream, cookies=cookies)
            for upstream, first, stream in zip(UPSTREAMS, firsts, padded, strict=False)
        ]
        # All are known already, so that none is tried beside the first.
        for number, link in enumerate(self.links):
            link.health.replied(0.001 * (number + 1))
        self.group = Group(self.links)
        self.limits = limits
        self.delivered = []
        self.ended = []
        self.query = query

    def begin(self, now_s=0.0):
        inquiry = Inquiry(self.query, "key", self.group, self.limits, self.ended.append, now_s)
        inquiry.join(self.query, self.delivered.append)
        inquiry.begin(now_s)
        return inquiry

    def asked(self):
        return [len(first.sent) for first in self.firsts]

    def counted(self, index, ending):
        return self.links[index].endings[ending].value


def answer(rcode=0):
    return restore_question(build_reply(QUESTION, rcode), QUERY.id, QUESTION)


def test_the_first_upstream_is_asked_and_no_other():
    desk = Desk(FakeChannel("ok"), FakeChannel("ok"))
    inquiry = desk.begin()
    assert desk.delivered == [answer()]
    assert desk.ended == [inquiry]
    assert inquiry.is_over
    assert desk.asked() == [1, 0]
    assert desk.counted(0, Ending.ANSWERED) == 1


def test_what_is_asked_is_the_clients_question_and_flags():
    desk = Desk(FakeChannel("ok"))
    desk.begin()
    [sent] = desk.firsts[0].sent
    assert (sent.flags, sent.question, sent.opt) == (0x0120, QUESTION, b"")


def test_class_any_is_asked_as_in_since_answers_are_kept_as_those_of_in():
    any_class = QUESTION[:-2] + b"\0\xff"
    desk = Desk(FakeChannel("ok"), query=QUERY._replace(question=any_class))
    desk.begin()
    [sent] = desk.firsts[0].sent
    assert sent.question == QUESTION
    # The client gets its own question back.
    assert desk.delivered == [restore_question(answer(), QUERY.id, any_class)]


@pytest.mark.parametrize("do", [False, True])
def test_do_is_passed_on_in_an_opt_of_our_own(do):
    desk = Desk(FakeChannel("ok"), query=QUERY._replace(edns=Edns(4096, do)))
    desk.begin()
    [sent] = desk.firsts[0].sent
    assert sent.opt == b"\0\0\x29\4\xd0\0\0" + (b"\x80" if do else b"\0") + b"\0\0\0"


@pytest.mark.parametrize("ending", [Ending.UNREACHABLE, Ending.MALFORMED, Ending.UNTRUSTED])
def test_the_next_is_asked_at_once_when_one_fails(ending):
    desk = Desk(FakeChannel(ending), FakeChannel("ok"))
    desk.begin()
    assert desk.delivered == [answer()]
    assert desk.counted(0, ending) == 1
    assert not desk.links[0].health.is_well


@pytest.mark.parametrize("word", ["servfail", "refused", "notimp", "formerr"])
def test_one_that_does_not_help_gives_way_to_the_next(word):
    desk = Desk(FakeChannel(word), FakeChannel("ok"))
    desk.begin()
    assert desk.delivered == [answer()]
    assert desk.asked() == [1, 1]


def test_a_name_that_does_not_exist_is_an_answer():
    desk = Desk(FakeChannel("nxdomain"), FakeChannel("ok"))
    desk.begin()
    assert desk.delivered == [answer(3)]
    assert desk.asked() == [1, 0]


def test_the_first_reply_that_does_not_help_is_better_than_none():
    desk = Desk(FakeChannel("servfail"), FakeChannel("refused"))
    desk.begin()
    assert desk.delivered == [answer(2)]


def test_a_single_upstream_is_asked_twice():
    desk = Desk(FakeChannel(Ending.UNREACHABLE))
    desk.begin()
    assert desk.delivered == [None]
    assert desk.asked() == [2]


def test_a_silent_upstream_is_not_given_up_but_another_is_asked_beside_it():
    desk = Desk(FakeChannel("silence"), FakeChannel("silence"))
    inquiry = desk.begin()
    assert 0 < inquiry.due_s <= FIRST_PATIENCE_S
    inquiry.tick(inquiry.due_s)
    assert desk.asked() == [1, 1]
    desk.firsts[0].say("ok", desk.firsts[0].sent[0])
    assert desk.delivered == [answer()]
    assert not inquiry.is_over
    # The other may take its time, and counts for its health only.
    inquiry.tick(10.0)
    assert inquiry.is_over
    assert desk.firsts[1].forgotten == desk.firsts[1].sent
    assert desk.counted(1, Ending.TIMEOUT) == 1
    assert desk.delivered == [answer()]


def test_within_its_patience_nobody_else_is_asked():
    desk = Desk(FakeChannel("silence"), FakeChannel("ok"))
    inquiry = desk.begin()
    inquiry.tick(inquiry.due_s - 0.001)
    assert desk.asked() == [1, 0]


def test_a_question_takes_no_longer_than_all_of_it_may():
    desk = Desk(*(FakeChannel("silence") for _ in range(4)), limits=Limits(2.0, 3.0))
    inquiry = desk.begin(100.0)
    now_s = 100.0
    while not inquiry.is_over:
        assert inquiry.due_s > now_s
        now_s = inquiry.due_s
        inquiry.tick(now_s)
    assert desk.delivered == [None]
    assert now_s <= 103.0


def test_what_does_not_fit_into_udp_is_asked_over_tcp():
    stream = FakeChannel("ok")
    desk = Desk(FakeChannel("truncated"), FakeChannel("ok"), streams=[stream])
    desk.begin()
    assert desk.delivered == [answer()]
    assert len(stream.sent) == 1
    assert desk.asked() == [1, 0]


def test_where_tcp_is_closed_the_next_is_asked():
    stream = FakeChannel(Ending.UNREACHABLE)
    desk = Desk(FakeChannel("truncated"), FakeChannel("ok"), streams=[stream])
    desk.begin()
    assert desk.delivered == [answer()]
    # By UDP it is as good as before.
    assert desk.links[0].health.is_well


def test_a_reply_that_is_truncated_even_over_tcp_is_none():
    desk = Desk(FakeChannel("truncated"), FakeChannel("ok"), streams=[FakeChannel("truncated")])
    desk.begin()
    assert desk.delivered == [answer()]
    assert desk.asked() == [1, 1]


def test_letters_in_another_case_are_asked_again_and_then_over_tcp_for_a_while():
    stream = FakeChannel("ok")
    desk = Desk(FakeChannel("other case"), streams=[stream])
    desk.begin()
    assert desk.asked() == [2]
    assert len(stream.sent) == 1
    assert desk.delivered == [answer()]
    desk.begin(300.0)
    assert desk.asked() == [2]
    assert len(stream.sent) == 2
    desk.begin(1000.0)
    assert desk.asked()[0] > 2


def test_one_loss_of_case_is_nothing():
    desk = Desk(FakeChannel("other case", "ok"), streams=[FakeChannel("silence")])
    desk.begin()
    assert desk.delivered == [answer()]
    assert desk.asked() == [2]


def test_the_true_reply_still_counts_after_a_false_one():
    channel = FakeChannel("other case", "silence")
    desk = Desk(channel, streams=[FakeChannel("silence")])
    desk.begin()
    channel.say("ok", channel.sent[0])
    assert desk.delivered == [answer()]


def test_an_upstream_that_does_not_know_edns_is_asked_without_and_remembered():
    query = QUERY._replace(edns=Edns(1232, do=False))
    desk = Desk(FakeChannel("formerr", "ok"), query=query)
    desk.begin()
    assert [bool(sent.opt) for sent in desk.firsts[0].sent] == [True, False]
    desk.begin(1.0)
    assert [bool(sent.opt) for sent in desk.firsts[0].sent] == [True, False, False]
    desk.begin(1000.0)
    assert desk.firsts[0].sent[-1].opt


def test_one_that_complains_with_and_without_edns_is_no_reason_to_leave_it_out():
    query = QUERY._replace(edns=Edns(1232, do=False))
    desk = Desk(FakeChannel("formerr", "formerr", "ok"), FakeChannel("ok"), query=query)
    desk.begin()
    desk.begin(1.0)
    assert all(link.opt(2.0, query.edns, b"") for link in desk.links)


def test_a_false_cookie_is_ignored_and_the_waiting_goes_on():
    channel = FakeChannel(COOKIE_OPT + b"notoursx" + b"servercookie")
    desk = Desk(channel, cookies=True, streams=[FakeChannel("silence")])
    desk.begin()
    assert channel.ignored == [Mismatch.OTHER_COOKIE]
    assert desk.delivered == []


def test_a_reply_without_the_cookie_that_was_there_before_is_asked_again_over_tcp():
    channel, stream = FakeChannel("silence"), FakeChannel("ok")
    desk = Desk(channel, cookies=True, streams=[stream])
    desk.begin()
    client_cookie = channel.sent[0].opt[-8:]
    channel.say(COOKIE_OPT + client_cookie + b"servercookie", channel.sent[0])
    assert desk.delivered == [answer()]
    channel.script = ["ok"]
    desk.begin(1.0)
    assert channel.sent[-1].opt.endswith(client_cookie + b"servercookie")
    assert len(stream.sent) == 1


def test_bad_cookie_is_asked_again_with_the_new_one():
    channel = FakeChannel("silence")
    desk = Desk(channel, cookies=True, streams=[FakeChannel("silence")])
    desk.begin()
    client_cookie = channel.sent[0].opt[-8:]
    channel.script = ["ok"]
    bad = b"\0\0\x29\4\xd0\1\0\0\0\0\x18\0\x0a\0\x14" + client_cookie + b"servercookie"
    reply = build_reply(QUESTION, 7, opt=bad)
    desk.firsts[0].sent[0].listener.replied(channel.sent[0], reply, 0.1)
    assert channel.sent[-1].opt.endswith(b"servercookie")
    # The last reply has no cookie: it is not believed over UDP.
    assert desk.delivered == []


@pytest.mark.parametrize("word", ["truncated", "formerr"])
def test_no_upstream_can_keep_us_asking(word):
    channel, stream = FakeChannel(word), FakeChannel(word)
    query = QUERY._replace(edns=Edns(1232, do=False))
    desk = Desk(channel, streams=[stream], query=query)
    desk.begin()
    assert len(channel.sent) + len(stream.sent) <= 2 + MAX_REPEATS
    assert len(desk.delivered) == 1


def test_all_who_wait_get_the_answer_in_their_own_letters():
    desk = Desk(FakeChannel("silence"))
    inquiry = desk.begin()
    theirs = []
    inquiry.join(QUERY._replace(id=5, question=QUESTION.lower()), theirs.append)
    desk.firsts[0].say("ok", desk.firsts[0].sent[0])
    assert desk.delivered == [answer()]
    assert theirs == [restore_question(build_reply(QUESTION), 5, QUESTION.lower())]


def test_an_extended_error_code_does_not_become_a_good_answer():
    bad_version = b"\0\0\x29\4\xd0\1\0\0\0\0\0"
    desk = Desk(FakeChannel(bad_version), query=QUERY._replace(edns=Edns(1232, do=False)))
    desk.begin()
    assert desk.delivered == [None]


def test_giving_up_tells_all_who_wait():
    desk = Desk(FakeChannel("silence"))
    inquiry = desk.begin()
    inquiry.give_up()
    inquiry.give_up()
    assert desk.delivered == [None]
    assert inquiry.is_over


def test_a_reply_after_the_end_changes_nothing():
    desk = Desk(FakeChannel("ok"))
    desk.begin()
    desk.firsts[0].say("ok", desk.firsts[0].sent[0])
    desk.firsts[0].say(Ending.UNREACHABLE, desk.firsts[0].sent[0])
    assert desk.delivered == [answer()]
    assert desk.counted(0, Ending.ANSWERED) == 1
