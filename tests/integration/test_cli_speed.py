"""Everything but ``run`` answers at once, in a process of its own."""

import os
import subprocess
import sys
import time

import pytest

LIMIT_S = 0.3
# A busy machine is no slow command: the quickest of a few runs counts.
TRIES = 12
COMMANDS = [
    ["--help"],
    ["version"],
    ["check"],
    ["explain", "connect.ngrok-agent.com"],
    ["audit"],
    ["verify", "--chain", "no-such.pem", "--host", "connect.example.com"],
]
# Of no use to a command that answers and ends; each takes longer than the answer.
ONLY_TO_RUN = {"mitmproxy", "uvicorn", "starlette", "uvloop", "watchfiles", "structlog", "dnslib"}
# What `verify` alone needs, and what a table alone needs.
NOT_WITHOUT_NEED = {"cryptography", "asyncio", "OpenSSL", "service_identity", "rich"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """As installed: with byte code, which a checkout under test may not have."""
    folder = tmp_path_factory.mktemp("cli")
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    ours = {"PYTHONPYCACHEPREFIX": str(folder / "pycache"), "HOME": str(folder)}
    return {**kept, **ours, "PYTHONASYNCIODEBUG": ""}


def enforcer(arguments, environment, *interpreter_options):
    return subprocess.run(
        [sys.executable, *interpreter_options, "-m", "enforcer", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_a_command_answers_in_under_300_ms(arguments, environment):
    enforcer(arguments, environment)  # writes the byte code
    quickest_s = LIMIT_S
    for _ in range(TRIES):
        start_s = time.perf_counter()
        done = enforcer(arguments, environment)
        quickest_s = min(quickest_s, time.perf_counter() - start_s)
        if quickest_s < LIMIT_S:
            break

    assert done.stdout or done.stderr
    assert "Traceback" not in done.stderr
    if quickest_s >= LIMIT_S and os.getloadavg()[0] > os.cpu_count() / 2:
        pytest.skip("the machine is busy: how long a command takes says nothing")
    assert quickest_s < LIMIT_S


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_a_command_imports_nothing_that_only_run_needs(arguments, environment):
    imported = top_level_imports(arguments, environment)

    assert imported & ONLY_TO_RUN == set()
    if arguments[0] != "verify":
        assert imported & NOT_WITHOUT_NEED == set()


def top_level_imports(arguments, environment):
    log = enforcer(arguments, environment, "-X", "importtime").stderr
    lines = [line for line in log.splitlines() if line.startswith("import time:")]
    assert len(lines) > 20
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
