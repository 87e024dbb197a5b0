"""The copy of a transferred zone: what is in the file, and what a transfer does to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.dns.transfers import zone_copy
from enforcer.dns.transfers.zone_copy import (
    Changes,
    CopyError,
    Line,
    Soa,
    read_lines,
    read_soa,
    write_zone,
)
from enforcer.policy.rpz import load_rpz

SOA = Line("@", 300, "SOA ns.example. admin.example. 7 3600 600 86400 60")
LINES = [Line("a.example", 60, "CNAME ."), Line("b.example", 60, 'TXT "x ; y"')]


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "feed.rpz"
    write_zone(path, "rpz.example", [SOA, *LINES])
    return path


def test_what_is_written_is_read_again(copy):
    assert read_soa(copy) == Soa(7, 3600, 600, 86400)
    assert list(read_lines(copy)) == LINES


def test_a_copy_is_a_policy_zone(copy):
    zone = load_rpz("feed", str(copy), [copy.read_bytes()])

    assert (zone.serial, zone.entries, zone.rejected_count) == (7, 2, 0)
    assert zone.rules[0].match.names == ("a.example",)


@pytest.mark.parametrize("content", ["", "$ORIGIN x.\n", "@ 1 SOA a. b. x 1 1 1 1\n", "\xff"])
def test_a_file_that_was_not_written_here_has_no_soa(tmp_path, content):
    path = tmp_path / "feed.rpz"
    path.write_text(content, encoding="latin-1")

    assert read_soa(path) is None
    assert read_soa(tmp_path / "not_there") is None


def test_a_file_that_somebody_changed_is_not_added_to(copy):
    copy.write_text(copy.read_text() + "c.example CNAME .\n")

    with pytest.raises(CopyError, match="changed by somebody else"):
        list(read_lines(copy))


def test_a_transfer_that_breaks_off_leaves_the_old_copy(copy):
    def broken():
        yield SOA
        raise CopyError("the primary hung up")

    before = copy.read_bytes()
    with pytest.raises(CopyError):
        write_zone(copy, "rpz.example", broken())

    assert copy.read_bytes() == before
    assert list(copy.parent.iterdir()) == [copy]


def test_a_zone_without_end_is_given_up(copy, monkeypatch):
    monkeypatch.setattr(zone_copy, "MAX_BYTES", 1000)

    with pytest.raises(CopyError, match="larger than 1000 bytes"):
        write_zone(copy, "rpz.example", (LINES[0] for _ in range(10**9)))


def test_records_go_and_come_whatever_their_ttl_was(copy):
    changes = Changes()
    changes.remove(LINES[0]._replace(ttl_s=1))
    changes.add(LINES[1]._replace(ttl_s=5))
    changes.add(Line("c.example", 60, "CNAME ."))

    assert list(changes.apply(read_lines(copy))) == [
        Line("b.example", 5, 'TXT "x ; y"'),
        Line("c.example", 60, "CNAME ."),
    ]


def test_a_record_that_is_to_go_must_be_there(copy):
    changes = Changes()
    changes.remove(Line("z.example", 60, "CNAME ."))

    with pytest.raises(CopyError, match="1 records that were to go"):
        list(changes.apply(read_lines(copy)))


records = st.sampled_from([Line(name, 60, "CNAME .") for name in "abcd"])


@given(
    st.sets(records),
    st.lists(st.tuples(st.sets(records), st.sets(records)), max_size=4),
)
def test_several_steps_come_to_what_they_come_to_one_by_one(zone, steps):
    changes, expected = Changes(), set(zone)
    for wanted_out, put_in in steps:
        out = wanted_out & expected
        expected = (expected - out) | put_in
        for line in out:
            changes.remove(line)
        for line in put_in:
            changes.add(line)

    found = list(changes.apply(zone))
    assert len(found) == len(set(found))
    assert set(found) == expected
