"""The commands, as a shell calls them: what they print where, and their exit codes."""

import contextlib
import json
from textwrap import dedent
from typing import NamedTuple

import pytest

import enforcer
from enforcer import cli
from enforcer.audit.event import AuditEvent
from enforcer.audit.store import Store

COMMANDS = ("run", "check", "explain", "verify", "audit", "version")
NOW_S = 1_795_521_600.0


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """``call("explain", "a.example")``, in a folder without settings."""
    monkeypatch.setattr(cli, "SYSTEM_SETTINGS", tmp_path / "none.yaml")
    monkeypatch.delenv("ENFORCER_CONFIG", raising=False)
    # Given back afterwards: main sets it for itself.
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")

    def run(*arguments, at_a_terminal=False):
        monkeypatch.setattr("sys.stdout.isatty", lambda: at_a_terminal)
        monkeypatch.setattr("sys.argv", ["enforcer", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        streams = capsys.readouterr()
        return Done(ended.value.code or 0, streams.out, streams.err)

    return run


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "enforcer.yaml"
    path.write_text("audit: {path: audit.db}\n")
    return path


@pytest.fixture
def store(config):
    with contextlib.closing(Store(config.parent / "audit.db")) as store:
        yield store


def event(number=0, **changes):
    time_s = NOW_S + number
    blocked = AuditEvent(
        time_s,
        time_s,
        "dns",
        "192.0.2.7",
        f"{number}.example",
        "",
        None,
        "block",
        "mine",
        "closed",
        "enforce",
        "policy.yaml:3",
        "abc",
    )
    return blocked._replace(**changes)


def test_help_lists_the_commands_and_where_to_start(call):
    done = call("--help")

    assert done.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in done.out
    assert "..." not in done.out.replace("[ARGS]...", "")
    assert "Exit codes: 0 done or accepted" in done.out
    assert "enforcer explain connect.ngrok-agent.com" in done.out


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "version"])
def test_every_command_teaches_by_example(call, command):
    assert f"Examples:\n    enforcer {command}" in call(command, "--help").out


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", ["--config"]),
        (
            "explain",
            ["--port", "--address", "--client", "--via", "--type", "--at", "--ns", "--json"],
        ),
        ("verify", ["--address", "--json", "--chain", "--host", "--roots", "--at"]),
        ("audit", ["--since", "--client", "--name", "--action", "--json"]),
    ],
)
def test_the_options_that_people_rely_on_are_there(call, command, options):
    text = call(command, "--help").out

    for option in options:
        assert f" {option} " in text


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["explain"], ["explain", "a", "--port", "0"], ["audit", "--no"]]
)
def test_wrong_usage_is_exit_code_2_and_says_where_help_is(call, arguments):
    done = call(*arguments)

    assert (done.code, done.out) == (2, "")
    assert "for help" in done.err


def test_version(call):
    for words in ("version", "--version"):
        assert call(words) == (0, f"enforcer {enforcer.__version__}\n", "")
    assert json.loads(call("version", "--json").out) == {"version": enforcer.__version__}


def test_explain_names_the_rule_and_its_line(call):
    done = call("explain", "connect.ngrok-agent.com")

    assert (done.code, done.err) == (0, "")
    first, *rest = done.out.splitlines()
    assert first == "block: connect.ngrok-agent.com via dns"
    assert "rule    ngrok-connect" in rest
    assert any(line.startswith("from    ") and "ngrok.yaml:" in line for line in rest)


def test_explain_as_json_has_what_programs_rely_on(call):
    answer = json.loads(call("explain", "connect.ngrok-agent.com", "--json").out)

    assert {"action", "rule", "reason", "file", "line"} <= answer.keys()
    assert answer["action"] == "block"
    assert isinstance(answer["line"], int)


def test_explain_says_that_a_certificate_will_be_verified(call):
    for road in ("tls", "connect"):
        done = call("explain", "connect.example.com", "--via", road)
        assert "its certificate is verified before a byte passes" in done.out


def test_explain_what_is_not_a_name_is_wrong_usage(call):
    done = call("explain", "a..example")

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: 'a..example' has an empty label")


def test_explain_uses_the_policy_of_the_settings(call, config):
    config.with_name("policy.yaml").write_text(
        dedent(
            """
            version: 1
            default: allow
            rules:
              - id: mine
                match: {names: [a.example]}
                action: block
                reason: because
            """
        )
    )
    config.write_text("policy: policy.yaml\n")

    answer = json.loads(call("explain", "a.example", "--config", config, "--json").out)

    assert (answer["rule"], answer["reason"]) == ("mine", "because")
    assert answer["file"] == str(config.with_name("policy.yaml"))


def test_the_environment_names_the_settings(call, config, monkeypatch):
    config.write_text("no_such_key: 1\n")
    monkeypatch.setenv("ENFORCER_CONFIG", str(config))

    for command in (["check"], ["explain", "a.example"], ["audit"], ["run"]):
        assert call(*command).code == 2


@pytest.mark.parametrize("command", [["explain", "a.example"], ["audit"], ["run"]])
def test_settings_that_must_not_be_used_are_exit_code_2(call, config, command):
    config.write_text("listen: {admin: nowhere}\nno_such_key: 1\n")

    done = call(*command, "--config", config)

    assert (done.code, done.out) == (2, "")
    assert f"error: {config}:1: listen.admin: " in done.err
    assert f"error: {config}:2: no_such_key: " in done.err


def test_settings_that_are_not_there_are_exit_code_2(call, tmp_path):
    done = call("run", "--config", tmp_path / "none.yaml")

    assert done.code == 2
    assert "correct the path" in done.err


def test_check_says_what_a_file_is(call, config):
    done = call("check", config)

    assert done.code == 0
    assert f"{config}: ok: settings" in done.out


def test_check_goes_on_to_the_next_file(call, config, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nmode: nonsense\n")

    done = call("check", bad, config)

    assert done.code == 2
    assert f"error: {bad}:2: mode: " in done.err
    assert f"{config}: ok: settings" in done.out


@pytest.mark.parametrize("kind", ["policy", "pack", "settings"])
def test_check_prints_schemas_for_editors(call, kind):
    assert "properties" in json.loads(call("check", "--schema", kind).out)


def test_check_prints_a_schema_or_checks_a_file(call, config):
    done = call("check", config, "--schema", "settings")

    assert (done.code, done.out) == (2, "")
    assert "--schema takes no file" in done.err


def test_audit_needs_no_policy(call, config, store):
    config.write_text("audit: {path: audit.db}\npolicy: nope.yaml\n")
    store.write([event()])

    assert call("audit", "--config", config).out.count("\n") == 1
    for command in (["run"], ["check"], ["explain", "a.example"]):
        done = call(*command, "--config", config)
        assert done.code == 2
        assert f"error: {config}:2: policy: " in done.err


def test_check_knows_no_other_schema(call):
    done = call("check", "--schema", "nonsense")

    assert done.code == 2
    assert "write policy or pack or settings" in done.err


def test_verify_must_be_asked_one_of_two_ways(call, tmp_path):
    for arguments in ([], ["a.example", "--host", "b"], ["--chain", tmp_path], ["--host", "a"]):
        done = call("verify", *arguments)
        assert done.code == 2
        assert "give HOST[:PORT], or --chain PEM with --host NAME" in done.err


def test_audit_in_a_pipe_is_a_line_each_oldest_first(call, config, store):
    store.write([event(1), event(0)])

    done = call("audit", "--config", config)

    assert (done.code, done.err) == (0, "")
    assert [line.split()[:5] for line in done.out.splitlines()] == [
        ["2026-11-24T12:00:00.000Z", "block", "dns", "192.0.2.7", "to"],
        ["2026-11-24T12:00:01.000Z", "block", "dns", "192.0.2.7", "to"],
    ]


def test_audit_as_json_is_an_object_a_line(call, config, store):
    store.write([event(n) for n in range(300)])

    lines = call("audit", "--json", "--config", config).out.splitlines()

    assert [json.loads(line)["name"] for line in lines] == [f"{n}.example" for n in range(300)]


def test_audit_filters(call, config, store):
    store.write([event(0), event(1, action="monitor"), event(2, client="198.51.100.1")])

    def names(*arguments):
        done = call("audit", "--json", "--config", config, *arguments)
        return [json.loads(line)["name"] for line in done.out.splitlines()]

    assert names("--action", "monitor") == ["1.example"]
    assert names("--client", "198.51.100.0/24") == ["2.example"]
    assert names("--name", "0.example") == ["0.example"]
    assert names("--since", "2026-11-24T12:00:02Z") == ["2.example"]
    assert names("--limit", "1") == ["2.example"]


def test_audit_takes_no_limit_that_sqlite_cannot_count(call, config, store):
    done = call("audit", "--limit", "9" * 20, "--config", config)

    assert (done.code, done.out) == (2, "")
    assert f"is not in the range 1<=x<={cli.MAX_ROWS}" in done.err
    assert call("audit", "--limit", cli.MAX_ROWS, "--config", config).code == 0


def test_audit_at_a_terminal_is_a_table_of_the_newest(call, config, store):
    store.write([event(n) for n in range(cli.ROWS_AT_A_TERMINAL + 5)])

    done = call("audit", "--config", config, at_a_terminal=True)

    assert "destination, rule and reason" in done.out
    assert done.out.count(".example") == cli.ROWS_AT_A_TERMINAL
    assert f"the newest {cli.ROWS_AT_A_TERMINAL}; see more with --limit" in done.err


def test_audit_says_why_there_is_nothing(call, config, store):
    done = call("audit", "--config", config)
    assert (done.code, done.out) == (0, "")
    assert "note: nothing is on record yet" in done.err

    store.write([event()])
    done = call("audit", "--json", "--action", "allow", "--config", config)
    assert (done.code, done.out) == (0, "")
    assert "note: nothing on record fits" in done.err


def test_audit_without_a_store_is_exit_code_1_with_a_remedy(call, config):
    done = call("audit", "--config", config)

    assert (done.code, done.out) == (1, "")
    assert "start the gateway" in done.err


@pytest.mark.parametrize(
    "words", [["--since", "x"], ["--client", "x"], ["--action", "x"], ["--name", "mün chen"]]
)
def test_audit_words_that_mean_nothing_are_exit_code_2(call, config, words):
    done = call("audit", "--config", config, *words)

    assert (done.code, done.out) == (2, "")
    assert "; " in done.err


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_audit_never_prints_what_a_terminal_acts_on(call, config, store, words):
    store.write([event(name="\x1b[2J\u202e\n", reason="\x1b[2J\u202e\n", rule="\x07")])

    done = call("audit", "--config", config, *words)

    assert done.out.count("\n") == 1
    assert done.out.strip("\n").isprintable()
