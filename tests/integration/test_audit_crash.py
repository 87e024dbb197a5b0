"""What a real process leaves on record when it is ended, and when it is killed."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import dns.message
import dns.query
import pytest

from enforcer.audit.query import query
from enforcer.audit.store import Store

FLUSH_INTERVAL_S = 0.5
# What one write and a busy machine may take on top of the interval.
WRITE_S = 0.5
RUN_S = 1.6

# Records events one by one, and says after each that it did. Of two, one is noted as the
# quick path does it, and gathered.
RECORDER = """
import signal, sys, time
from pathlib import Path
from enforcer.audit.event import AuditEvent
from enforcer.audit.store import Store
from enforcer.audit.trail import Trail
from enforcer.metrics import Metrics

ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
store = Store(Path(sys.argv[1]))
trail = Trail(store, lambda event: None, Metrics(), flush_interval_s=float(sys.argv[2]))
noted = []

def drain():
    taken = noted[:]
    del noted[:len(taken)]
    return taken

trail.gather(drain)
number = 0
while not ended:
    now = time.time()
    name = f"{number}.example"
    note = noted.append if number % 2 else trail.record
    note(AuditEvent(now, now, "dns", "", name, "", None, "block", "r", "", "enforce", "p:1", "d"))
    print(name, now, flush=True)
    number += 1
    time.sleep(0.002)
trail.close()
"""


@pytest.fixture
def recorder(tmp_path):
    path = tmp_path / "audit.db"
    command = [sys.executable, "-c", RECORDER, str(path), str(FLUSH_INTERVAL_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield path, process
        process.kill()


def said(process):
    """Name and time of each event that the process said it had recorded."""
    lines = process.stdout.read().splitlines()
    whole = [line.split() for line in lines if line.count(" ") == 1]
    return {name: float(at) for name, at in whole}


def test_sigterm_loses_nothing(recorder):
    path, process = recorder
    process.stdout.readline()  # it runs
    time.sleep(RUN_S)
    process.send_signal(signal.SIGTERM)
    recorded = said(process)
    assert process.wait(timeout=10) == 0

    stored = {event.name for event in query(path)}

    assert len(recorded) > 50
    assert stored >= recorded.keys()


def test_sigkill_loses_at_most_one_flush_interval(recorder):
    path, process = recorder
    process.stdout.readline()
    time.sleep(RUN_S)
    process.kill()
    recorded = said(process)
    killed_s = max(recorded.values())

    stored = {event.name for event in query(path)}

    lost = {name: at for name, at in recorded.items() if name not in stored}
    assert len(stored) > 50
    assert all(at > killed_s - FLUSH_INTERVAL_S - WRITE_S for at in lost.values())


def test_the_store_of_a_killed_process_is_whole_and_goes_on(recorder):
    path, process = recorder
    process.stdout.readline()
    time.sleep(RUN_S)
    process.kill()
    process.wait()

    with contextlib.closing(Store(path)):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_gateway_stores_on_sigterm_what_it_has_not_flushed_yet(tmp_path):
    """A flush is a minute away: only the drain can have written the event."""
    config = tmp_path / "enforcer.yaml"
    config.write_text(
        """
listen: {dns: ["127.0.0.1:0"], proxy: ["127.0.0.1:0"], tls: ["127.0.0.1:0"], admin: "127.0.0.1:0"}
dns: {upstreams: [192.0.2.53]}
audit: {path: audit.db, flush_interval_ms: 60000}
drain_seconds: 1
"""
    )
    enforcer = [sys.executable, "-m", "enforcer"]
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*enforcer, "run", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as gateway:
        try:
            banner = "".join(iter(gateway.stdout.readline, "Try it from another terminal:\n"))
            port = int(re.search(r"dns +127\.0\.0\.1:(\d+)", banner)[1])
            question = dns.message.make_query("connect.ngrok-agent.com", "A")
            answer = dns.query.udp(question, "127.0.0.1", timeout=5, port=port)
            assert answer.rcode() == dns.rcode.NXDOMAIN
            gateway.send_signal(signal.SIGTERM)
            assert gateway.wait(timeout=20) == 0
        finally:
            gateway.kill()

    listed = subprocess.run(
        [*enforcer, "audit", "--json", "--config", str(config)],
        capture_output=True,
        text=True,
        check=True,
    )

    (event,) = map(json.loads, listed.stdout.splitlines())
    assert (event["name"], event["action"], event["plane"]) == (
        "connect.ngrok-agent.com",
        "block",
        "dns",
    )
