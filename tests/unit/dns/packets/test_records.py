"""Names and records of a message."""

import dns.message
import dns.name
import pytest

from enforcer.dns.packets.records import UNREADABLE, read_name, skip_name, walk_records

REPLY = dns.message.from_text(
    "id 1\nopcode QUERY\nrcode NOERROR\nflags QR\nedns 0\n;QUESTION\nA.test. IN MX\n"
    ";ANSWER\na.test. 60 IN MX 10 mail.A.test.\n;AUTHORITY\ntest. 61 IN NS ns.test.\n"
    ";ADDITIONAL\nmail.a.test. 62 IN A 192.0.2.1\n"
).to_wire()


def test_every_record_is_found_with_its_section():
    records = list(walk_records(REPLY))
    assert [(record.section, record.kind, record.ttl_s) for record in records] == [
        (1, 15, 60),
        (2, 2, 61),
        (3, 1, 62),
        (3, 41, 0),
    ]
    assert [read_name(REPLY, record.owner_at) for record in records] == [
        b"\1a\4test\0",
        b"\4test\0",
        b"\4mail\1a\4test\0",
        b"\0",
    ]
    assert records[-1].end == len(REPLY)


def test_name_ends_where_its_pointer_does():
    (answer, *_) = walk_records(REPLY)
    assert skip_name(REPLY, answer.data_at + 2) == answer.end


@pytest.mark.parametrize("length", range(len(REPLY)))
def test_message_that_is_cut_off_cannot_be_walked(length):
    with pytest.raises(UNREADABLE):
        list(walk_records(REPLY[:length]))


@pytest.mark.parametrize("name", [b"\xc0\x00", b"\x40", b"\x01", b"\x80\0", b"\1a" * 128 + b"\0"])
def test_what_is_no_name_cannot_be_read(name):
    with pytest.raises(UNREADABLE):
        read_name(name, 0)


def test_name_of_255_bytes_can_be_read():
    longest = dns.name.from_text(".".join(["a" * 63] * 3 + ["a" * 61])).to_wire()
    assert read_name(longest, 0) == longest
