"""The reader never goes past the end, and an empty part is no error."""

import pytest

from enforcer.tls.reader import DecodeError, Reader


def test_numbers_and_vectors_are_taken_from_the_front():
    reader = Reader(b"\x01\x00\x02\x02ab\x00\x01crest")
    assert reader.number(1) == 1
    assert reader.number(2) == 2
    assert reader.vector(1).rest() == b"ab"
    assert reader.vector(2).rest() == b"c"
    assert reader
    assert reader.rest() == b"rest"
    assert not reader


def test_empty_vector_is_a_reader_with_nothing_in_it():
    assert not Reader(b"\0").vector(1)


@pytest.mark.parametrize(
    "step",
    [
        lambda reader: reader.take(4),
        lambda reader: reader.number(4),
        lambda reader: reader.vector(1),
        lambda reader: reader.vector(2),
        lambda reader: reader.vector(4),
    ],
)
def test_nothing_is_taken_past_the_end(step):
    reader = Reader(b"\xff\x00\x00")
    with pytest.raises(DecodeError, match="past the end"):
        step(reader)
