"""``enforcer run`` as a person meets it: the banner once it is up, a sentence when it cannot be."""

import os
import re
import signal
import socket
import subprocess
import sys
from textwrap import dedent

import pytest


@pytest.fixture
def config(tmp_path):
    def write(**listen):
        at = {
            "dns": '["127.0.0.1:0"]',
            "proxy": '["127.0.0.1:0"]',
            "tls": '["127.0.0.1:0"]',
            "admin": '"127.0.0.1:0"',
        } | listen
        listeners = ", ".join(f"{plane}: {endpoint}" for plane, endpoint in at.items())
        path = tmp_path / "enforcer.yaml"
        path.write_text(
            dedent(
                f"""
                listen: {{{listeners}}}
                dns: {{upstreams: [192.0.2.53]}}
                audit: {{path: audit.db}}
                drain_seconds: 1
                """
            )
        )
        return path

    return write


@pytest.fixture
def start(tmp_path):
    """Starts ``enforcer run``; what still runs in the end is killed."""
    started = []

    def run(config):
        process = subprocess.Popen(
            [sys.executable, "-m", "enforcer", "run", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_the_banner_names_ports_that_answer_and_sigterm_ends_with_0(start, config):
    process = start(config())
    banner = "".join(iter(process.stdout.readline, "Try it from another terminal:\n"))
    ports = dict(re.findall(r"^  (\w+) +127\.0\.0\.1:(\d+) ", banner, re.MULTILINE))

    assert ports.keys() == {"dns", "proxy", "tls", "admin"}
    for port in ports.values():
        socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert "Traceback" not in process.stderr.read()


def test_a_port_in_use_is_one_sentence_and_exit_code_1(start, config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(config(admin=f'"127.0.0.1:{port}"'))
        out, err = process.communicate(timeout=30)

    assert process.returncode == 1
    assert out == ""
    assert (
        f"error: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "change listen.admin in the settings\n"
    ) in err
    assert "Traceback" not in err


def test_an_audit_store_that_cannot_be_used_is_one_sentence_and_exit_code_1(start, config):
    path = config()
    (path.parent / "audit.db").mkdir()

    process = start(path)
    out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (1, "")
    assert f"error: the audit store {path.parent / 'audit.db'} cannot be written" in err
    assert "Traceback" not in err


def test_a_policy_that_must_not_be_used_is_exit_code_2_with_its_line(start, config):
    path = config()
    path.with_name("policy.yaml").write_text("version: 1\nmode: nonsense\n")
    path.write_text(path.read_text() + "policy: policy.yaml\n")

    process = start(path)
    out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (2, "")
    assert f"error: {path.with_name('policy.yaml')}:2: mode: " in err
    assert "Traceback" not in err
