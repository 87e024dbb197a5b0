"""Everything but ``run`` answers at once, since it imports no more than it needs.

What a command imports is what its time goes to, and unlike time it can be asserted.
"""

import os
import subprocess
import sys

import pytest

COMMANDS = [
    ["--help"],
    ["version"],
    ["check"],
    ["explain", "connect.ngrok-agent.com"],
    ["audit"],
    ["verify", "--chain", "no-such.pem", "--host", "connect.example.com"],
]
# Of no use to a command that answers and ends; each takes longer than the answer.
ONLY_TO_RUN = {"mitmproxy", "uvicorn", "starlette", "uvloop", "structlog", "dns"}
READ_POLICIES = {"check", "explain"}
# What `verify` alone needs, and what a table alone needs.
NOT_WITHOUT_NEED = {"cryptography", "asyncio", "OpenSSL", "rich"}


@pytest.fixture
def environment(tmp_path):
    """A user without settings."""
    return {**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": "", "ENFORCER_CONFIG": ""}


def enforcer(arguments, environment, *interpreter_options):
    return subprocess.run(
        [sys.executable, *interpreter_options, "-m", "enforcer", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_a_command_imports_nothing_that_only_run_needs(arguments, environment):
    imported = top_level_imports(arguments, environment)

    assert imported & ONLY_TO_RUN == set()
    if arguments[0] != "verify":
        assert imported & NOT_WITHOUT_NEED == set()
    if arguments[0] not in READ_POLICIES:
        assert "pydantic" not in imported


def top_level_imports(arguments, environment):
    log = enforcer(arguments, environment, "-X", "importtime").stderr
    lines = [line for line in log.splitlines() if line.startswith("import time:")]
    assert len(lines) > 20
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
