"""Records as they are written, to wire form."""

import pytest

from enforcer.policy.local_data import DEFAULT_TTL_S, cname_target, parse_record
from enforcer.policy.model import LocalRecord


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("A 192.0.2.1", (1, DEFAULT_TTL_S, b"\xc0\x00\x02\x01")),
        ("300 IN A 192.0.2.1", (1, 300, b"\xc0\x00\x02\x01")),
        ("aaaa 2001:db8::1", (28, DEFAULT_TTL_S, b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01")),
        ('TXT "a b" c', (16, DEFAULT_TTL_S, b"\x03a b\x01c")),
        ("MX 10 mail.example", (15, DEFAULT_TTL_S, b"\0\x0a\x04mail\x07example\0")),
        ("PTR host.example.", (12, DEFAULT_TTL_S, b"\x04host\x07example\0")),
        ("SRV 1 2 443 a.example", (33, DEFAULT_TTL_S, b"\0\1\0\2\x01\xbb\x01a\x07example\0")),
        ("HTTPS 1 . alpn=h2", (65, DEFAULT_TTL_S, b"\0\1\0\0\1\0\3\x02h2")),
        ("TYPE65280 \\# 2 abcd", (65280, DEFAULT_TTL_S, b"\xab\xcd")),
    ],
)
def test_a_record_is_written_as_in_a_zone_file(text, record):
    assert parse_record(text) == LocalRecord(*record)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a record"),
        ("A", "is not a record"),
        ("192.0.2.1", "is not a record"),
        ("A 192.0.2.256", "is no A record"),
        ("AAAA 192.0.2.1", "is no AAAA record"),
        ("A 192.0.2.1 192.0.2.2", "is no A record"),
        ("A 192.0.2.1\nA 192.0.2.2", "is not a record"),
        ("MX mail.example", "is no MX record"),
        ("CNAME " + "a" * 64 + ".example", "is no CNAME record"),
        ("NOTHING x", "not a query type"),
        ("AXFR x", "no name has a record of type AXFR"),
        ("TYPE41 \\# 0", "no name has a record of type TYPE41"),
        ("99999999999 A 192.0.2.1", "is not a record"),
        ("2147483648 A 192.0.2.1", "is too long"),
    ],
)
def test_what_is_no_record_is_told_with_a_remedy(text, why):
    with pytest.raises(ValueError, match=why) as caught:
        parse_record(text)
    _, _, remedy = str(caught.value).rpartition("; ")
    assert remedy.startswith("write ")


def test_a_cname_leads_somewhere():
    assert cname_target(parse_record("CNAME Stop.Example.")) == "stop.example"
