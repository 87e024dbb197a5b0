"""Messages with their length in front, however the stream is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.upstream.stream_framing import FramingError, LengthFraming

MESSAGES = [bytes((0, number)) + b"\x81\x80" + b"\0" * (8 + number) for number in range(5)]
STREAM = b"".join(len(message).to_bytes(2, "big") + message for message in MESSAGES)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_however_it_is_cut_the_same_messages_come_out(cuts):
    framing = LengthFraming()
    received = []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(edges):
        received += framing.receive(STREAM[start:end])
    assert received == list(enumerate(MESSAGES))


def test_a_message_is_sent_with_its_length_under_its_id():
    assert LengthFraming().send(b"\x12\x34rest of it") == (0x1234, b"\0\x0c\x12\x34rest of it")


def test_a_message_without_a_header_ends_the_connection():
    with pytest.raises(FramingError):
        LengthFraming().receive(b"\0\x0b" + b"\0" * 11)


def test_an_id_that_is_taken_is_not_chosen():
    ids = iter([7, 8, 9])
    assert LengthFraming().choose_id({7, 8}, lambda: next(ids)) == 9


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(data):
    framing = LengthFraming()
    try:
        received = list(framing.receive(data))
    except FramingError:
        return
    assert all(len(message) >= 12 for _, message in received)
