"""Messages behind their length, however the bytes come."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.workers.channel import MAX_MESSAGE_BYTES, ChannelError, Frames, frame

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=5)


@given(MESSAGES, st.lists(st.integers(0, 300), max_size=12))
def test_messages_come_out_as_they_went_in_however_they_are_split(messages, cuts):
    wire = b"".join(map(frame, messages))
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    frames = Frames()

    seen = [message for start, end in pairwise(edges) for message in frames.feed(wire[start:end])]

    assert seen == messages


@given(st.binary(max_size=60))
def test_bytes_that_are_no_messages_are_told_and_raise_nothing_else(data):
    try:
        messages = Frames().feed(data)
    except ChannelError:
        return
    assert all(isinstance(message, dict) for message in messages)


def test_text_that_utf_8_cannot_hold_gets_through():
    (message,) = Frames().feed(frame({"name": "\udcff.example"}))

    assert message == {"name": "\udcff.example"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"3", b"{", b"\xff", b"[" * 100_000], ids=lambda body: repr(body[:5])
)
def test_what_is_no_object_is_an_error(body):
    with pytest.raises(ChannelError, match="no JSON object"):
        Frames().feed(len(body).to_bytes(4, "big") + body)


def test_a_length_beyond_the_bound_is_an_error_before_any_of_it_is_kept():
    with pytest.raises(ChannelError, match="too long"):
        Frames().feed((MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"))


def test_we_send_nothing_beyond_the_bound_either():
    with pytest.raises(ChannelError, match="too long"):
        frame({"text": "x" * MAX_MESSAGE_BYTES})


def test_a_message_is_json_behind_its_length_in_four_bytes():
    wire = frame({"is": "reload"})

    assert wire[:4] == (len(wire) - 4).to_bytes(4, "big")
    assert json.loads(wire[4:]) == {"is": "reload"}
