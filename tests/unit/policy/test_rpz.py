"""Policy zones: triggers and actions as rules, faults by line."""

from ipaddress import ip_network

import pytest

from enforcer.policy.lists import PIECE_BYTES
from enforcer.policy.model import Action, LocalRecord, Match, Refusal
from enforcer.policy.rpz import load_rpz
from enforcer.policy.source import PolicyError

HEAD = """\
$TTL 300
$ORIGIN rpz.example.
@ SOA localhost. root.localhost. 7 3600 600 86400 60
 NS localhost.
"""


def zone(text, *, head=HEAD, chunk_bytes=100_000, **options):
    content = (head + text).encode()
    chunks = [content[at : at + chunk_bytes] for at in range(0, len(content), chunk_bytes)]
    return load_rpz("feed", "feed.rpz", chunks, **options)


def only_rule(text, **options):
    (rule,) = zone(text, **options).rules
    return rule


@pytest.mark.parametrize(
    ("data", "action", "refusal"),
    [
        ("CNAME .", Action.BLOCK, Refusal.NXDOMAIN),
        ("CNAME *.", Action.BLOCK, Refusal.NODATA),
        ("CNAME rpz-drop.", Action.BLOCK, Refusal.DROP),
        ("CNAME rpz-tcp-only.", Action.BLOCK, Refusal.TCP_ONLY),
        ("CNAME RPZ-DROP.", Action.BLOCK, Refusal.DROP),
        ("60 IN CNAME . ; why", Action.BLOCK, Refusal.NXDOMAIN),
    ],
)
def test_an_action(data, action, refusal):
    rule = only_rule(f"ads.example {data}\n")

    assert (rule.action, rule.refusal) == (action, refusal)
    assert rule.match == Match(names=("ads.example",))
    assert rule.source == ("feed.rpz", 5)
    assert rule.from_pack


@pytest.mark.parametrize("target", ["rpz-passthru.", "ads.example."])
def test_passthru_in_its_new_and_its_old_form(target):
    rule = only_rule(f"ads.example CNAME {target}\n")

    assert (rule.id, rule.action, rule.passthru) == ("feed:passthru", Action.ALLOW, True)


def test_a_cname_elsewhere_is_a_rewrite():
    rule = only_rule("ads.example CNAME Garden.example.net.\n")

    assert (rule.refusal, rule.cname) == (Refusal.CNAME, "garden.example.net")


def test_other_records_are_the_answer_wherever_they_stand():
    rule = only_rule(
        "ads.example A 192.0.2.1\nAds.Example 60 TXT hello\nads.example AAAA 2001:db8::1\n"
    )

    assert rule.refusal is Refusal.LOCAL_DATA
    assert rule.match.names == ("ads.example",)
    assert set(rule.records) == {
        LocalRecord(1, 300, b"\xc0\x00\x02\x01"),
        LocalRecord(16, 60, b"\x05hello"),
        LocalRecord(28, 300, b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
    }


def test_owners_with_the_same_data_are_one_rule():
    found = zone("a A 192.0.2.1\nb A 192.0.2.1\nc A 192.0.2.2\n")

    assert [(rule.id, rule.match.names) for rule in found.rules] == [
        ("feed:data", ("a", "b")),
        ("feed:data:2", ("c",)),
    ]


def test_a_wildcard_is_for_what_is_below_alone():
    (names,) = only_rule("*.ads.example CNAME .\n").match.lists

    assert list(names.below) == ["ads.example"]
    assert len(names.exact) == len(names.suffix) == 0


@pytest.mark.parametrize(
    ("owner", "match"),
    [
        ("24.0.2.0.192.rpz-ip", Match(addresses=(ip_network("192.0.2.0/24"),))),
        ("24.0.2.0.192.rpz-client-ip", Match(clients=(ip_network("192.0.2.0/24"),))),
        ("128.1.zz.db8.2001.rpz-nsip", Match(nsips=(ip_network("2001:db8::1"),))),
        ("ns.ads.example.rpz-nsdname", Match(nsdnames=("ns.ads.example",))),
        ("*.ads.example.rpz-nsdname", Match(nsdnames=("ads.example",))),
    ],
)
def test_a_trigger_other_than_the_name(owner, match):
    rule = only_rule(f"{owner} CNAME .\n")

    assert rule.match == match
    assert rule.id.startswith("feed:nxdomain:")


def test_one_action_for_several_kinds_of_trigger_is_a_rule_for_each():
    found = zone("a CNAME .\n32.1.2.0.192.rpz-ip CNAME .\nns.rpz-nsdname CNAME .\n")

    assert [rule.id for rule in found.rules] == [
        "feed:nxdomain",
        "feed:nxdomain:ip",
        "feed:nxdomain:nsdname",
    ]


@pytest.mark.parametrize(
    ("override", "action", "refusal", "passthru"),
    [
        ("given", Action.BLOCK, Refusal.DROP, False),
        ("nxdomain", Action.BLOCK, Refusal.NXDOMAIN, False),
        ("nodata", Action.BLOCK, Refusal.NODATA, False),
        ("passthru", Action.ALLOW, Refusal.NXDOMAIN, True),
        ("disabled", Action.MONITOR, Refusal.DROP, False),
    ],
)
def test_an_override_counts_instead(override, action, refusal, passthru):
    rule = only_rule("ads.example CNAME rpz-drop.\n", override=override)

    assert (rule.action, rule.refusal, rule.passthru) == (action, refusal, passthru)


def test_an_override_makes_one_rule_of_all():
    rule = only_rule("a CNAME .\nb CNAME *.\nc A 192.0.2.1\n", override="nxdomain")

    assert rule.match.names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("a CNAME rpz-what.", "rpz-what is no action"),
        ("a CNAME rpz-passthru", "without its final dot"),
        ("a DNAME b.", "DNAME is no action"),
        ("* CNAME .", "for every name"),
        ("a.rpz-what CNAME .", "rpz-what is no trigger"),
        ("24.1.2.0.192.rpz-ip CNAME .", "host bits"),
        ("a.example. CNAME .", "not below the zone"),
        ("a A x", "no record"),
    ],
)
def test_a_record_that_is_no_policy_is_rejected_by_line_and_the_rest_counts(record, why):
    found = zone(f"ok CNAME .\n{record}\nalso CNAME .\n")

    assert found.rules[0].match.names == ("also", "ok")
    assert [rejected.line for rejected in found.rejected] == [6]
    assert why in found.rejected[0].why
    assert (found.entries, found.rejected_count) == (2, 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a CNAME .", "a CNAME rpz-passthru."),
        ("*.a CNAME .", "*.a CNAME *."),
        ("a CNAME b.example.", "a CNAME ."),
        ("a CNAME .", "a CNAME b.example."),
        ("a CNAME b.example.", "a CNAME c.example."),
        ("a CNAME .", "a A 192.0.2.1"),
        ("a A 192.0.2.1", "a CNAME ."),
        ("a A 192.0.2.1", "a CNAME b.example."),
        ("32.1.2.0.192.rpz-ip CNAME .", "32.1.2.0.192.rpz-ip CNAME rpz-passthru."),
        ("ns.rpz-nsdname CNAME .", "ns.rpz-nsdname CNAME *."),
    ],
)
def test_of_two_records_that_contradict_each_other_the_later_is_rejected(first, second):
    found = zone(f"{first}\n{second}\n")

    assert found.entries == 1
    assert len(found.rules) == 1
    (rejected,) = found.rejected
    assert (rejected.line, rejected.text) == (6, second)
    assert rejected.why == "an earlier record of this owner says otherwise"


@pytest.mark.parametrize("options", [{}, {"override": "disabled"}])
@pytest.mark.parametrize("star", ["", "*."])
def test_a_record_that_contradicts_one_of_many_is_found_in_a_piece(star, options):
    many = "".join(f"{star}n{number}.example CNAME .\n" for number in range(3000))
    text = f"{star}n2000.example CNAME *.\n{many}{star}n7.example CNAME *.\n"

    found = zone(text, **options)

    assert [rejected.line for rejected in found.rejected] == [2006, 3006]
    assert found.entries == 3000


@pytest.mark.parametrize(
    "text", ["a CNAME .\na CNAME .\n", "a CNAME .\n*.a CNAME *.\n", "a A 192.0.2.1\na TXT x\n"]
)
def test_records_that_agree_or_have_other_owners_contradict_nothing(text):
    assert zone(text).rejected == ()


def test_what_an_override_makes_the_same_contradicts_nothing():
    found = zone("a CNAME .\na CNAME *.\na A 192.0.2.1\n", override="nxdomain")
    assert found.rejected == ()


def test_what_belongs_to_the_zone_itself_is_neither_policy_nor_rejected():
    found = zone(
        "a CNAME .\n@ TXT hello\na RRSIG CNAME 8 2 60 20300101000000 20200101000000 1 x. AA==\n"
    )

    assert (found.entries, found.rejected_count, found.serial) == (1, 0, 7)


@pytest.mark.parametrize("text", ["", HEAD, "<html>\n<body>not here</body>\n", "\0\xff\n"])
def test_a_file_that_holds_no_policy_is_refused(text):
    with pytest.raises(PolicyError) as refused:
        zone(text, head="")

    (problem,) = refused.value.problems
    assert problem.source.file == "feed.rpz"
    assert problem.problem.startswith("there is no policy in it")


LINES = {
    "plain": "{0} CNAME .",
    "tabs": "{0}\t60\tIN\tCNAME\t.",
    "comments": "{0} CNAME . ; listed as {0}",
    "relative_and_whole": "{0}.rpz.example. CNAME .",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("chunk_bytes", [4001, 100_000])
def test_many_plain_lines_are_read_whole_however_they_are_cut(line, end, chunk_bytes):
    """Pieces of one form are read as wholes: what is odd among them must not show."""
    names = [f"Host{number}.Example" for number in range(3000)]
    lines = [line.format(owner) for name in names for owner in (name, f"*.{name}")]
    odd = [
        "; a comment",
        "",
        "32.1.2.0.192.rpz-ip CNAME .",
        "a..b CNAME .",
        "ok.example CNAME rpz-passthru.",
        "  TXT theirs",
    ]
    lines[3000:3000] = odd
    text = end.join(lines) + end
    assert len(text) > 2 * PIECE_BYTES
    found = zone(text, chunk_bytes=chunk_bytes, size_bytes=len(text))
    rules = {rule.id: rule.match for rule in found.rules}

    (table,) = rules["feed:nxdomain"].lists
    folded = sorted(name.lower() for name in names)
    assert sorted(table.exact) == sorted(table.below) == folded
    assert rules["feed:nxdomain:ip"].addresses == (ip_network("192.0.2.1"),)
    assert rules["feed:passthru"].names == ("ok.example",)
    assert [rejected.line for rejected in found.rejected] == [3000 + 4 + 4, 3000 + 4 + 6]
    assert "this owner says otherwise" in found.rejected[1].why
    assert found.entries == 6000 + 2


def test_a_record_without_an_owner_follows_a_line_that_was_read_as_part_of_a_piece():
    names = [f"host{number}.example" for number in range(3000)]
    text = "".join(f"{name} CNAME .\n" for name in names) + "  TXT theirs\n"
    found = zone(text)

    (rejected,) = found.rejected
    assert (rejected.line, rejected.text) == (4 + 3001, "TXT theirs")
    assert rejected.why == "an earlier record of this owner says otherwise"
