"""`enforcer check`: each file judged as what it is."""

import pytest

from enforcer.check import check_file, render_schema
from enforcer.policy.load import builtin_policies
from enforcer.policy.source import PolicyError

POLICY = "version: 1\ndefault: allow\ninclude: [packs/ngrok.yaml]\n"
PACK = "version: 1\nrules:\n  - {id: r, action: block, match: {names: [a.example]}}\n"


@pytest.fixture
def check(tmp_path):
    def check(text, name="file.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return check_file(tmp_path / name)

    return check


def problems_of(check, text):
    with pytest.raises(PolicyError) as caught:
        check(text)
    return [(p.source.line, p.key) for p in caught.value.problems]


def test_without_a_file_the_embedded_default_is_checked():
    checked = check_file(None)
    assert "enforce mode" in checked.summary
    assert "connect.example.com:443" in checked.summary
    assert checked.warnings == ()


def test_the_files_that_ship_pass():
    files = sorted(builtin_policies().glob("**/*.yaml"))
    assert len(files) >= 2
    for file in files:
        assert check_file(file).warnings == ()


def test_a_policy_is_told_by_its_keys(check):
    assert "ok: enforce mode, 10 rules, Connect URL none" in check(POLICY).summary
    assert problems_of(check, "default: allow\n") == [(1, "version")]


def test_a_pack_is_told_by_its_keys(check):
    assert check(PACK).summary.endswith("ok: a pack of 1 rules")
    assert problems_of(check, PACK.replace("version: 1\n", "")) == [(1, "version")]


def test_a_pack_is_checked_for_ties_by_itself(check):
    other = "  - {id: s, action: allow, match: {names: [a.example]}}\n"
    assert problems_of(check, PACK + other) == [(4, "s")]


def test_settings_are_checked_with_their_policy(check):
    check(POLICY, "policy.yaml")
    summary = check("policy: policy.yaml\n").summary
    assert "file.yaml: ok: settings\n" in summary
    assert "policy.yaml: ok: enforce mode" in summary
    check("drain_seconds: 1\n")


def test_a_fault_of_the_policy_that_settings_name_is_told(check, tmp_path):
    (tmp_path / "policy.yaml").write_text("version: 1\n", encoding="utf-8")
    assert problems_of(check, "policy: policy.yaml\n") == [(1, "default")]


def test_warnings_are_passed_on(check):
    [warning] = check("version: 1\ndefault: allow\n").warnings
    assert "no rule covers" in warning.problem


@pytest.mark.parametrize("text", ["[]", "x", "~"])
def test_what_is_no_mapping_is_refused(check, text):
    assert problems_of(check, text) == [(1, "")]


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(PolicyError) as caught:
        check_file(tmp_path / "nowhere.yaml")
    assert str(caught.value).startswith(f"{tmp_path}/nowhere.yaml: cannot be read: No such file")


@pytest.mark.parametrize(
    ("kind", "key"), [("policy", "connect_urls"), ("pack", "rules"), ("settings", "listen")]
)
def test_a_schema_of_each_kind_is_there_for_editors(kind, key):
    schema = render_schema(kind)
    assert key in schema["properties"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_an_unknown_kind_of_schema_comes_with_a_remedy():
    with pytest.raises(PolicyError, match="write policy or pack or settings"):
        render_schema("polcy")


def test_lists_and_zones_are_told_with_what_was_read(check, tmp_path):
    lines = ["a.example", "\x1b[2J", *["@@||b.example^"] * 30]
    (tmp_path / "l.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "z.rpz").write_text("a.example CNAME .\nb.example CNAME .\n", encoding="utf-8")
    rule = "rules:\n  - {id: r, action: block, match: {lists: [l.txt]}}\n"
    told = check(POLICY + rule + "rpz: [{id: z, file: z.rpz}]\n").summary.splitlines()
    assert told[1] == f"{tmp_path / 'l.txt'}: 1 entries, 31 lines rejected"
    assert told[2].startswith("  line 2: ")
    assert "\x1b" not in told[2]
    assert told[-2:] == ["  and 11 more", f"{tmp_path / 'z.rpz'}: 2 entries"]
    assert "1 entries, 31 lines rejected" in check("version: 1\n" + rule).summary


def test_a_policy_of_zones_only_is_a_policy(check):
    assert problems_of(check, "rpz: []\n") == [(1, "version"), (1, "default")]
