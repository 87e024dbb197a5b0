"""How the main process takes it when workers do not start, fall silent, or will not end."""

import asyncio
import logging
import os
import signal
import sys

import pytest
from integration.dns_harness import becomes_true
from integration.gateway_process import children_of

from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder
from enforcer.settings.dns import DnsSettings
from enforcer.settings.endpoint import Endpoint
from enforcer.workers.pool import COMMAND, WorkerError, Workers

POLICY = "version: 1\ndefault: allow\ninclude: [packs/ngrok.yaml]\n"
ANY_PORT = (Endpoint("127.0.0.1", 0),)
# A worker that says it is ready, and then does what stands behind.
READY = """
import json, socket, sys, time
end = socket.socket(fileno=int(sys.argv[1]))
def say(body):
    end.sendall(len(body).to_bytes(4, "big") + body)
say(json.dumps({"is": "ready", "listening": {"dns": [["127.0.0.1", 5]]}}).encode())
"""


@pytest.fixture
def workers_by(policy_from, tmp_path):
    def build(code, count=1, **options):
        command = code if isinstance(code, tuple) else (sys.executable, "-c", code)
        settings = DnsSettings(upstreams=("127.0.0.1:9",), workers=count)
        metrics = Metrics()
        workers = Workers(
            settings,
            tmp_path / "policy.yaml",
            PolicyHolder(policy_from(POLICY)),
            lambda _: None,
            metrics,
            flush_interval_s=0.2,
            command=command,
            **{"back_off_s": 0.05, **options},
        )
        return workers, metrics

    return build


def restarts(metrics):
    return metrics.dns_worker_restarts.cell().value


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(3)", "a DNS worker ended with exit code 3"),
        (("/nowhere/python",), "a DNS worker cannot be started: No such file or directory"),
        (READY.replace('"is"', '"es"') + "say(b'[]')", "a DNS worker sent what cannot be read: "),
    ],
)
def test_worker_that_cannot_serve_ends_the_start_with_a_sentence(run, workers_by, code, said):
    run(_fail_to_start(workers_by(code)[0], said))


async def _fail_to_start(workers, said):
    with pytest.raises(WorkerError, match=said):
        await workers.start(ANY_PORT)
    assert not workers.serving
    await workers.drain(0)


def test_worker_that_ends_again_and_again_is_started_ever_later(run, workers_by, caplog):
    run(_end_again_and_again(*workers_by(READY)))

    pauses = [record.args[2] for record in caplog.records if "started again" in record.message]
    assert pauses[:3] == [0.05, 0.1, 0.2]


async def _end_again_and_again(workers, metrics):
    assert await workers.start(ANY_PORT) == {"dns": [Endpoint("127.0.0.1", 5)]}
    await becomes_true(lambda: restarts(metrics) >= 3)
    await workers.drain(0)
    assert not workers.serving


def test_worker_that_sends_nonsense_is_started_again(run, workers_by, caplog):
    run(_send_nonsense(*workers_by(READY + "time.sleep(0.3); say(b'nonsense'); time.sleep(60)")))

    assert "a message is no JSON object; DNS worker 0 is started again" in caplog.text


async def _send_nonsense(workers, metrics):
    await workers.start(ANY_PORT)
    await becomes_true(lambda: restarts(metrics) >= 1)
    await workers.drain(0)


def test_worker_that_does_not_end_is_made_to(run, workers_by, caplog):
    run(_drain_in_vain(workers_by(READY + "time.sleep(60)")[0]))

    assert "DNS workers that did not end in time, and are made to: 1" in caplog.text


async def _drain_in_vain(workers):
    await workers.start(ANY_PORT)
    began_s = asyncio.get_running_loop().time()
    await workers.drain(0)
    assert asyncio.get_running_loop().time() - began_s < 8


def test_worker_that_hangs_is_killed_and_started_again(run, workers_by, caplog):
    caplog.set_level(logging.INFO)
    run(_hang(*workers_by(COMMAND, count=2, silence_s=1.5)))

    assert "a DNS worker was silent for 1.5 s, and is killed" in caplog.text
    assert "killed by signal 9; DNS worker 0 is started again" in caplog.text
    assert "DNS worker 0 serves again" in caplog.text


async def _hang(workers, metrics):
    await workers.start(ANY_PORT)
    os.kill(children_of(os.getpid())[0], signal.SIGSTOP)
    await becomes_true(lambda: restarts(metrics) == 1 and in_step(metrics) == 2)
    await workers.drain(1)


def in_step(metrics):
    metrics.render()
    return metrics.dns_workers.cell("in_step").value
