"""A reply without some of its records."""

import dns.message
import pytest

from enforcer.dns.packets.rebuild import rebuild, without_additional
from enforcer.dns.packets.records import walk_records

REPLY = dns.message.from_text("""\
id 7
opcode QUERY
rcode NOERROR
flags QR RD RA
edns 0
;QUESTION
www.Example.net. IN A
;ANSWER
www.Example.net. 60 IN CNAME one.example.net.
one.example.net. 61 IN CNAME two.example.net.
two.example.net. 62 IN A 192.0.2.1
two.example.net. 62 IN MX 10 mail.one.example.net.
two.example.net. 62 IN SRV 1 2 3 srv.two.example.net.
;AUTHORITY
example.net. 63 IN SOA ns.one.example.net. hostmaster.two.example.net. 1 2 3 4 5
example.net. 63 IN NS ns.one.example.net.
;ADDITIONAL
ns.one.example.net. 64 IN A 192.0.2.53
""").to_wire()


def test_reply_without_changes_says_the_same():
    assert dns.message.from_wire(rebuild(REPLY, {})) == dns.message.from_wire(REPLY)


@pytest.mark.parametrize("gone", range(9))
def test_what_is_left_says_the_same_whichever_record_goes(gone):
    """Names that pointed into the record are not lost with it."""
    places = [record.owner_at for record in walk_records(REPLY)]
    rebuilt = rebuild(REPLY, {places[gone]: None})
    before = dns.message.from_wire(REPLY, one_rr_per_rrset=True)
    after = dns.message.from_wire(rebuilt, one_rr_per_rrset=True)
    sections = zip(before.sections, after.sections, strict=True)
    lost = [rrset for old, new in sections for rrset in old if rrset not in new]
    assert len(lost) == (gone < 8)  # the last is OPT, which is in no section
    assert len(list(walk_records(rebuilt))) == len(places) - 1
    assert (before.id, before.flags, before.question) == (after.id, after.flags, after.question)


def test_record_may_get_other_data():
    at = next(record.owner_at for record in walk_records(REPLY) if record.kind == 1)
    rebuilt = rebuild(REPLY, {at: b"\xc0\0\2\x2a"})
    (address,) = [r for r in dns.message.from_wire(rebuilt).answer if r.rdtype == 1]
    assert address[0].address == "192.0.2.42"


def test_owners_are_compressed_again():
    rebuilt = rebuild(REPLY, {})
    assert rebuilt.lower().count(b"\3two\7example\3net\0") == 4  # one owner of three, three data


@pytest.mark.parametrize("length", range(0, len(REPLY), 3))
def test_what_cannot_be_read_is_not_rebuilt(length):
    assert rebuild(REPLY[:length], {}) is None


def test_reply_that_would_be_too_long_is_not_rebuilt():
    """A small message whose names are long once they are written in full."""
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    question = longest + b"\0\5\0\1"
    record = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c"
    reply = b"\0\1\x81\x80\0\1\1\x2c\0\0\0\0" + question + record * 300
    assert rebuild(reply, {}) is None


def test_nothing_but_the_additional_section_goes():
    left = dns.message.from_wire(without_additional(REPLY))
    whole = dns.message.from_wire(REPLY)
    assert (left.answer, left.authority) == (whole.answer, whole.authority)
    assert (left.additional, left.edns) == ([], -1)


def test_a_reply_without_additional_section_stays_as_it_is():
    left = without_additional(REPLY)
    assert without_additional(left) == left


@pytest.mark.parametrize("length", range(12, len(REPLY) - 1, 7))
def test_what_cannot_be_read_has_no_additional_section_to_drop(length):
    assert without_additional(REPLY[:length]) is None
