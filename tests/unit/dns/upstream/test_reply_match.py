"""Which message is the reply to a query: one that repeats what was sent, to the letter."""

import pytest

from enforcer.dns.upstream.reply_match import Mismatch, match_reply, restore_question

QUESTION = b"\3WwW\7eXample\0\0\1\0\1"
ANSWER = b"\xc0\x0c\0\1\0\1\0\0\0<\0\4\xc0\0\2\1"


def reply(question=QUESTION, flags=b"\x81\x80", counts=b"\0\1\0\1\0\0\0\0", rest=ANSWER):
    return b"\x12\x34" + flags + counts + question + rest


def test_a_reply_that_repeats_the_question_matches():
    assert match_reply(reply(), QUESTION, exact_case=True) is None


@pytest.mark.parametrize(
    ("message", "mismatch"),
    [
        (b"", Mismatch.MALFORMED),
        (reply()[:11], Mismatch.MALFORMED),
        (reply(flags=b"\x01\x00"), Mismatch.MALFORMED),  # a query
        (reply(flags=b"\xa8\x00"), Mismatch.MALFORMED),  # another opcode
        (reply(counts=b"\0\2\0\1\0\0\0\0"), Mismatch.MALFORMED),
        (reply(counts=b"\0\0\0\1\0\0\0\0"), Mismatch.MALFORMED),
        (reply(question=b"\3WwW\7eXamplf\0\0\1\0\1"), Mismatch.OTHER_QUESTION),
        (reply(question=b"\3WwW\7eXample\0\0\x1c\0\1"), Mismatch.OTHER_QUESTION),
        (reply(question=b"\3WwW\7eXample\0\0\1\0\3"), Mismatch.OTHER_QUESTION),
        (reply(question=b"\3WwW\7eXamp", rest=b""), Mismatch.OTHER_QUESTION),
        (reply(question=QUESTION.lower()), Mismatch.OTHER_CASE),
    ],
)
def test_what_differs_is_told_apart(message, mismatch):
    assert match_reply(message, QUESTION, exact_case=True) is mismatch


def test_letters_may_differ_where_their_case_is_no_secret():
    assert match_reply(reply(question=QUESTION.lower()), QUESTION, exact_case=False) is None


def test_types_that_differ_as_letters_do_are_two():
    """Type 65 (HTTPS) is the byte A, type 97 the byte a."""
    https, other = (b"\1x\0\0" + kind + b"\0\1" for kind in (b"A", b"a"))
    assert match_reply(reply(other), https, exact_case=False) is Mismatch.OTHER_QUESTION


@pytest.mark.parametrize("rcode", [1, 2, 4, 5])
def test_an_error_may_come_as_a_header_alone(rcode):
    header = b"\x12\x34\x81" + bytes((0x80 | rcode,)) + b"\0" * 8
    assert match_reply(header, QUESTION, exact_case=True) is None
    restored = restore_question(header, 7, QUESTION)
    assert restored == b"\0\7" + header[2:4] + b"\0\1\0\0\0\0\0\0" + QUESTION


@pytest.mark.parametrize("rcode", [0, 3])
def test_an_answer_may_not(rcode):
    header = b"\x12\x34\x81" + bytes((0x80 | rcode,)) + b"\0" * 8
    assert match_reply(header, QUESTION, exact_case=True) is Mismatch.MALFORMED


def test_the_client_gets_its_own_id_and_letters_back():
    mine = b"\3www\7EXAMPLE\0\0\1\0\1"
    assert restore_question(reply(), 0xABCD, mine) == b"\xab\xcd" + reply(mine)[2:]
