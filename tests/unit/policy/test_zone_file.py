"""Zone files line by line: whatever one record has wrong, the next one counts."""

import pytest

from enforcer.policy.zone_file import MAX_RECORD_BYTES, Record, ZoneFile


def records(text):
    file = ZoneFile()
    found = [record for line in text.encode().split(b"\n") for record in file.read_line(line)]
    return [*found, *file.done()]


def owners(text):
    return [(record.owner, record.rtype) for record in records(text) if not record.fault]


def faults(text):
    return [(record.line, record.fault) for record in records(text) if record.fault]


SOA = "@ SOA localhost. root.localhost. 7 3600 600 86400 60\n"


def test_a_zone_without_a_name_has_relative_names():
    text = f"{SOA}a.example CNAME .\nb.example.there. CNAME .\n"

    assert owners(text) == [("", "SOA"), ("a.example", "CNAME")]
    assert faults(text) == [(3, "the name of the zone is not known; put $ORIGIN on the first line")]


@pytest.mark.parametrize(
    "head",
    [
        f"$ORIGIN rpz.example.\n{SOA}",
        SOA.replace("@", "rpz.example."),
        f"$ORIGIN .\n{SOA.replace('@', 'rpz.example')}$ORIGIN rpz.example.\n",
        f"$ORIGIN RPZ.Example.\n{SOA}",
    ],
)
def test_the_zone_is_named_by_its_origin_or_its_soa(head):
    text = (
        f"{head}a CNAME .\nb.rpz.EXAMPLE. CNAME .\n"
        "$ORIGIN com.rpz.example.\nc CNAME .\n@ A 192.0.2.1\n"
    )

    assert owners(text) == [
        ("", "SOA"),
        ("a", "CNAME"),
        ("b", "CNAME"),
        ("c.com", "CNAME"),
        ("com", "A"),
    ]
    assert faults(text) == []


def test_a_record_without_an_owner_has_the_one_before_it():
    text = f"{SOA}a CNAME .\n  TXT x\nb A 192.0.2.1 ; c\n\tA 192.0.2.2\n"

    assert owners(text)[1:] == [("a", "CNAME"), ("a", "TXT"), ("b", "A"), ("b", "A")]


def test_a_record_after_an_owner_that_is_none_belongs_to_nobody():
    text = f"{SOA}a A 192.0.2.1\nb..c A 192.0.2.2\n A 192.0.2.3\n"

    assert owners(text)[1:] == [("a", "A")]
    assert [line for line, _ in faults(text)] == [3, 4]


def test_parentheses_hold_lines_together_and_comments_and_quotes_hide_them():
    text = (
        "@ SOA localhost. root.localhost. ( ; ( begins\n 9 3600\n 600 86400 60 ) ; )\n"
        'a TXT ( "b ) ;" ; c (\n "d" )\nlast CNAME .\n'
    )
    found = records(text)

    assert [(record.line, record.owner, record.rtype) for record in found] == [
        (1, "", "SOA"),
        (4, "a", "TXT"),
        (6, "last", "CNAME"),
    ]
    assert found[1].data.rdata == b"\x05b ) ;\x01d"


@pytest.mark.parametrize(
    ("line", "ttl_s"),
    [
        ("a 300 IN A 192.0.2.1", 300),
        ("a IN 300 A 192.0.2.1", 300),
        ("a 5m A 192.0.2.1", 300),
        ("a A 192.0.2.1", 60),
        ("$TTL 2h\na A 192.0.2.1", 7200),
        ("b 300 A 192.0.2.9\na A 192.0.2.1", 300),
    ],
)
def test_a_ttl_is_its_own_or_the_files_or_the_one_before(line, ttl_s):
    assert records(SOA + line)[-1].data == (1, ttl_s, b"\xc0\x00\x02\x01")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("a A 192.0.2", "it is no record"),
        ("a A 192.0.2.1 192.0.2.2", "it is no record"),
        ("a WHAT 1", "WHAT is no type of record"),
        ("a CH A 192.0.2.1", "the class CH is not IN"),
        ("a", "it is no record"),
        ("$INCLUDE other.zone", "$INCLUDE is not read here"),
        ("$GENERATE 1-9 a$ CNAME .", "$GENERATE is not read here"),
        ("$TTL soon", "it is no record"),
        ("b\u00fccher CNAME .", "other letters than ASCII"),
        ("a CNAME b", "the target has no final dot"),
        (f"{'a' * 64} CNAME .", "it is no record"),
        (f"{'.'.join(['a' * 60] * 5)} CNAME .", "longer than 255 bytes"),
        ('a TXT "open', "left open"),
        ("a ( CNAME .", "left open"),
        ("@ SOA a. b. 1 1 1 1 1", "a SOA already"),
        ("a TYPE1 \\# 4 c00002", "it is no record"),
    ],
)
def test_a_fault_is_of_one_record(line, fault):
    text = f"{SOA}before CNAME .\n{line}\n"
    file_faults = faults(text)

    assert [number for number, _ in file_faults] == [3]
    assert fault in file_faults[0][1]
    assert owners(text) == [("", "SOA"), ("before", "CNAME")]


def test_a_parenthesis_that_never_ends_gives_up_some_lines():
    text = f"{SOA}a TXT ( x\n" + "b CNAME . ; and so on\n" * 2000 + "(" + "x" * MAX_RECORD_BYTES

    assert 0 < len(faults(text)) < 5


def test_odd_names_are_text_with_escapes():
    assert owners(f"{SOA}a\\032b\\.c.d CNAME .\n")[1] == ("a\\032b\\046c.d", "CNAME")


def test_a_fault_shows_the_line_it_is_about():
    assert records("a A (\n x )\n") == [
        Record(1, "a A ( x )", fault="it is no record: Text input is malformed.")
    ]
