"""Whatever comes, matching says yes or why not, and yes only to what was asked."""

from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.upstream.reply_match import Mismatch, match_reply, restore_question

QUESTION = b"\3WwW\7eXample\0\0\1\0\1"
GENUINE = b"\x12\x34\x81\x80\0\1\0\0\0\0\0\0" + QUESTION


@given(st.binary(max_size=80), st.booleans())
def test_no_bytes_are_too_strange(message, exact_case):
    found = match_reply(message, QUESTION, exact_case=exact_case)
    assert found is None or isinstance(found, Mismatch)
    if found is None and len(message) > 12:
        assert message[12 : 12 + len(QUESTION)].lower() == QUESTION.lower()


@given(st.integers(2, len(GENUINE) - 1), st.integers(1, 255))
def test_a_reply_with_one_byte_changed_is_believed_only_where_the_question_stands(at, flip):
    changed = bytearray(GENUINE)
    changed[at] ^= flip
    if match_reply(bytes(changed), QUESTION, exact_case=True) is None:
        assert at < 12


@given(st.lists(st.booleans(), min_size=len(QUESTION), max_size=len(QUESTION)))
def test_only_the_very_letters_that_were_sent_are_believed(flips):
    letters = bytes(
        byte ^ 0x20 if flip and chr(byte).isalpha() and at < len(QUESTION) - 4 else byte
        for at, (byte, flip) in enumerate(zip(QUESTION, flips, strict=True))
    )
    found = match_reply(GENUINE[:12] + letters, QUESTION, exact_case=True)
    assert found is (None if letters == QUESTION else Mismatch.OTHER_CASE)


@given(st.binary(max_size=60), st.integers(0, 0xFFFF))
def test_restoring_never_changes_the_length_of_what_has_a_question(rest, ident):
    restored = restore_question(GENUINE + rest, ident, QUESTION.lower())
    assert len(restored) == len(GENUINE + rest)
    assert restored[2:12] == GENUINE[2:12]
    assert restored.endswith(rest)
