"""What clients chose to send, made safe to store and to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.audit.text import printable, well_formed

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("connect.example.com", "connect.example.com"),
        ("two words", "two words"),
        ("münchen.example", "münchen.example"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x7f\x9b", "\\x7f\\x9b"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\u2066\u200b\ufeff", "\\u2066\\u200b\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_acts_on_is_shown_as_an_escape(raw, shown):
    assert printable(raw) == shown


@given(ANY_TEXT)
def test_shown_text_is_one_line_that_can_be_seen_and_encoded(text):
    shown = printable(text)

    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode()


@given(ANY_TEXT)
def test_well_formed_text_is_utf_8_and_else_unchanged(text):
    made = well_formed(text)

    made.encode()
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert made == text


def test_half_a_surrogate_pair_is_kept_as_an_escape():
    assert well_formed("a\ud83d.example") == "a\\ud83d.example"
