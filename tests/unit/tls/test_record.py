"""A message out of records: as soon as it is whole, and no sooner."""

import pytest
from unit.tls.hellos import records, vector

from enforcer.tls.reader import DecodeError
from enforcer.tls.record import MAX_FRAGMENT_BYTES, MAX_RECORDS, first_handshake

SERVER_HELLO = 2


def read(data):
    return first_handshake(data, SERVER_HELLO, max_bytes=40_000)


def handshake(body):
    return bytes([SERVER_HELLO]) + vector(body, 3)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
def test_body_is_the_same_however_it_is_cut(size):
    assert read(records(handshake(b"x" * 50), [size])) == b"x" * 50


def test_message_longer_than_a_record_is_put_together():
    body = b"y" * (2 * MAX_FRAGMENT_BYTES)
    assert read(records(handshake(body))) == body


def test_second_message_of_the_record_is_left_alone():
    assert read(records(handshake(b"first") + handshake(b"second"))) == b"first"


def test_empty_message_is_whole_with_its_header():
    assert read(records(handshake(b""))) == b""


def test_wrong_type_is_seen_in_the_first_byte_of_four():
    with pytest.raises(DecodeError, match="type 1, not 2"):
        read(records(b"\x01" + bytes(3)))


def test_records_of_one_byte_are_not_walked_for_ever():
    with pytest.raises(DecodeError, match=f"{MAX_RECORDS} records"):
        read(records(handshake(bytes(MAX_RECORDS)), [1]))
