"""Files to a Policy: packs, roots, where everything is written, and one digest for it all."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from enforcer.policy.admit import admit_policy
from enforcer.policy.load import (
    builtin_packs,
    builtin_policies,
    load_pack,
    load_policy,
    read_document,
)
from enforcer.policy.model import Action, Delegation, Issuer, Refusal, Source, StripEch
from enforcer.policy.source import PolicyError

PACK = """\
version: 1
rules:
  - id: mine
    action: block
    match: {names: [a.example]}
"""


def problem_of(load, *arguments):
    with pytest.raises(PolicyError) as caught:
        load(*arguments)
    [problem] = caught.value.problems
    return problem


def test_the_policies_that_ship_are_found():
    assert (builtin_policies() / "default.yaml").is_file()
    assert "packs/ngrok.yaml" in builtin_packs()


def test_the_embedded_default_and_the_packs_load_without_a_warning():
    policy = admit_policy()
    assert policy.warnings == ()
    assert policy.hint == "connect.example.com:443"
    for pack in builtin_packs():
        assert load_pack(builtin_policies() / pack).rules


def test_a_pack_beside_the_policy_comes_before_one_that_ships(write_policy):
    path = write_policy(
        "version: 1\ndefault: allow\ninclude: [packs/ngrok.yaml]\n", **{"packs/ngrok.yaml": PACK}
    )
    policy = load_policy(path)
    assert [rule.id for rule in policy.rules] == ["mine"]
    assert policy.rules[0].from_pack
    assert policy.rules[0].source == Source(str(path.parent / "packs/ngrok.yaml"), 3)
    assert policy.files == (str(path), str(path.parent / "packs/ngrok.yaml"))


def test_a_rule_without_a_reason_has_one(write_policy):
    text = "version: 1\ndefault: allow\nrules:\n  - {id: r, action: block, match: {ports: [25]}}\n"
    [rule] = load_policy(write_policy(text)).rules
    assert (rule.reason, rule.refusal, rule.sinkhole) == (
        "the policy says so",
        Refusal.NXDOMAIN,
        (),
    )
    assert not rule.from_pack


def test_the_default_is_a_rule_with_a_line(write_policy):
    path = write_policy("version: 1\n\n\ndefault: block\n")
    rule = load_policy(path).default
    assert (rule.id, rule.action, rule.source) == ("default", Action.BLOCK, Source(str(path), 4))


def test_the_digest_is_of_every_file(write_policy):
    text = "version: 1\ndefault: allow\ninclude: [mine.yaml]\n"
    first = load_policy(write_policy(text, **{"mine.yaml": PACK})).digest
    assert load_policy(write_policy(text, **{"mine.yaml": PACK})).digest == first
    assert load_policy(write_policy(text, **{"mine.yaml": PACK + "\n"})).digest != first
    assert load_policy(write_policy(text + "\n", **{"mine.yaml": PACK})).digest != first


def test_the_digest_knows_where_a_file_ends(write_policy):
    """Moving a line from the end of one file to the start of the next is a change."""
    text = "version: 1\ndefault: allow\ninclude: [mine.yaml]\n"
    first = load_policy(write_policy(text + "#\n", **{"mine.yaml": PACK})).digest
    assert load_policy(write_policy(text, **{"mine.yaml": "#\n" + PACK})).digest != first


LISTED = "rules:\n  - {id: r, action: block, match: {lists: [l.txt]}}\n"


def test_lists_and_zones_are_files_of_the_policy_and_in_its_digest(write_policy):
    text = f"version: 1\ndefault: allow\n{LISTED}rpz: [{{id: z, file: z.rpz}}]\n"
    files = {"l.txt": "a.example\n", "z.rpz": "b.example CNAME .\n"}
    path = write_policy(text, **files)
    policy = load_policy(path)
    assert policy.files == tuple(str(path.parent / name) for name in ("policy.yaml", *files))
    for name, content in files.items():
        changed = load_policy(write_policy(text, **{**files, name: content * 2}))
        assert changed.digest != policy.digest
    assert load_policy(write_policy(text, **files)).digest == policy.digest


def test_the_digest_knows_where_a_list_ends(write_policy):
    text = "version: 1\ndefault: allow\nrules:\n"
    text += "  - {id: r, action: block, match: {lists: [l.txt, m.txt]}}\n"
    first = load_policy(write_policy(text, **{"l.txt": "a.b\nc.d\n", "m.txt": "e.f\n"})).digest
    other = load_policy(write_policy(text, **{"l.txt": "a.b\n", "m.txt": "c.d\ne.f\n"})).digest
    assert first != other


def test_a_list_that_several_rules_name_is_read_once(write_policy):
    text = f"version: 1\ndefault: allow\n{LISTED}"
    text += "  - {id: s, action: allow, match: {lists: [l.txt], ports: [25]}}\n"
    first, second = load_policy(write_policy(text, **{"l.txt": "a.example\n"})).rules
    assert first.match.lists[0] is second.match.lists[0]
    assert (first.rank, second.rank) == (1, 2)


def test_a_list_of_a_pack_stands_beside_the_pack(write_policy):
    path = write_policy(
        "version: 1\ndefault: allow\ninclude: [packs/p.yaml]\n",
        **{"packs/p.yaml": "version: 1\n" + LISTED, "packs/l.txt": "a.example\n"},
    )
    [rule] = load_policy(path).rules
    assert "a.example" in rule.match.lists[0].suffix
    [alone] = load_pack(path.parent / "packs/p.yaml").rules
    assert "a.example" in alone.match.lists[0].suffix


def test_a_list_without_an_entry_is_refused_with_its_first_line(write_policy):
    path = write_policy(f"version: 1\ndefault: allow\n{LISTED}", **{"l.txt": "\n<html>\n"})
    problem = problem_of(load_policy, path)
    assert problem.source == Source(str(path.parent / "l.txt"), 2)
    assert "'<html>'" in problem.problem


def test_a_list_that_is_empty_is_none_to_refuse(write_policy):
    policy = load_policy(
        write_policy(f"version: 1\ndefault: allow\n{LISTED}", **{"l.txt": "# nothing\n"})
    )
    assert [(report.entries, report.rejected_count) for report in policy.lists] == [(0, 0)]


def test_a_zone_of_no_policy_is_refused_with_its_file(write_policy):
    path = write_policy(
        "version: 1\ndefault: allow\nrpz: [{id: z, file: z.rpz}]\n", **{"z.rpz": "; empty\n"}
    )
    assert problem_of(load_policy, path).source.file == str(path.parent / "z.rpz")


def test_zones_rank_after_lists_in_the_order_of_the_file(write_policy):
    text = f"version: 1\ndefault: allow\n{LISTED}"
    text += "rpz: [{id: y, file: z.rpz, reason: theirs}, {id: z, file: z.rpz, override: nodata}]\n"
    zone = {"z.rpz": "b.example CNAME .\n"}
    rules = load_policy(write_policy(text, **zone, **{"l.txt": "a.example\n"})).rules
    assert [(rule.rank, rule.zone) for rule in rules] == [(1, 0), (2, 1), (3, 2)]
    assert [rule.refusal for rule in rules[1:]] == [Refusal.NXDOMAIN, Refusal.NODATA]
    assert rules[1].reason == "theirs"


def test_how_answers_are_guarded_is_written_in_the_policy(write_policy):
    text = "version: 1\ndefault: allow\n"
    policy = load_policy(write_policy(text))
    assert (policy.delegation, policy.strip_ech) == (Delegation.STRICT, StripEch.GUARDED)
    # YAML 1.1 reads a bare off as false.
    policy = load_policy(write_policy(text + "delegation: off\nstrip_ech: all\n"))
    assert (policy.delegation, policy.strip_ech) == (Delegation.OFF, StripEch.ALL)


def test_a_fault_in_a_pack_names_the_pack(write_policy):
    path = write_policy(
        "version: 1\ndefault: allow\ninclude: [mine.yaml]\n",
        **{"mine.yaml": PACK.replace("names", "nmes")},
    )
    problem = problem_of(load_policy, path)
    assert problem.source == Source(str(path.parent / "mine.yaml"), 5)
    assert (problem.key, problem.remedy) == ("rules[0].match.nmes", "did you mean names?")


def test_a_policy_is_no_pack(write_policy):
    path = write_policy("version: 1\ndefault: allow\ninclude: [policy.yaml]\n")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert [(p.key, p.problem) for p in caught.value.problems] == [
        ("default", "unknown key"),
        ("include", "unknown key"),
    ]


def test_faults_of_several_packs_and_roots_are_told_at_once(write_policy):
    path = write_policy(
        "version: 1\ndefault: allow\ninclude: [nowhere.yaml, mine.yaml]\n"
        "connect_urls: [{host: a.example, issuer: {roots: [nowhere.pem]}}]\n",
        **{"mine.yaml": "[]"},
    )
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert [problem.source.line for problem in caught.value.problems] == [3, 1, 4]


def _certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def test_a_connect_url_may_have_roots_of_its_own(write_policy):
    one, two = _certificate(), _certificate()
    path = write_policy(
        "version: 1\ndefault: allow\n"
        "connect_urls: [{host: a.example, issuer: {roots: [one.pem, two.pem]}}]\n",
        **{"one.pem": one, "two.pem": two},
    )
    policy = load_policy(path)
    [url] = policy.connect_urls
    assert url.issuer == Issuer("own", f"{one}\n{two}".encode())
    assert len(policy.files) == 3
    before = policy.digest
    (path.parent / "two.pem").write_text(one)
    assert load_policy(path).digest != before


@pytest.mark.parametrize("name", ["nowhere.yaml", ".", "nul\0.yaml"])
def test_a_file_that_cannot_be_read_is_a_policy_error(tmp_path, name):
    problem = problem_of(load_policy, tmp_path / name)
    # It has no line to speak of.
    assert str(problem.source) == str(tmp_path / name)
    assert problem.remedy


def test_what_is_not_utf8_is_told_with_its_line(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"version: 1\ndefault: all\xf6w\n")
    problem = problem_of(read_document, path)
    assert (problem.source.line, problem.remedy) == (2, "save the file as UTF-8")
