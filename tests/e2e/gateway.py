"""The product under test, as its operator meets it: two files, a process, signals, a CLI."""

import json
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from e2e.netns import Namespace
from e2e.process import until
from e2e.topology import CLIENT, RESOLVER
from prometheus_client.parser import text_string_to_metric_families

ADMIN = "127.0.0.1:9053"
DNS_PORT = 5053
PROXY_PORT = 8080
TLS_PORT = 8443
START_S = 15
SETTINGS: Mapping[str, Any] = {
    "policy": "policy.yaml",
    "listen": {
        "dns": [f"0.0.0.0:{DNS_PORT}", f"[::]:{DNS_PORT}"],
        "proxy": [f"0.0.0.0:{PROXY_PORT}"],
        "tls": [f"0.0.0.0:{TLS_PORT}", f"[::]:{TLS_PORT}"],
        "admin": ADMIN,
    },
    # The clients' v6 address is a global one, and so must be named.
    "dns": {"upstreams": [RESOLVER.v4], "allow_from": ["127.0.0.1", CLIENT.v4, CLIENT.v6]},
    "audit": {"path": "audit.db", "flush_interval_ms": 200},
}


class MetricValues:
    """One scrape."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self._samples = [sample for family in families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum over every series of that name which has these labels."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


class Gateway:
    """``enforcer run`` in a namespace, from start to stop."""

    def __init__(
        self,
        namespace: Namespace,
        directory: Path,
        policy: str,
        settings: Mapping[str, Any],
        files: Mapping[str, bytes],
    ) -> None:
        directory.mkdir()
        self._namespace = namespace
        self._policy = directory / "policy.yaml"
        self._config = directory / "enforcer.yaml"
        for name, content in files.items():
            (directory / name).write_bytes(content)
        self.write_policy(policy)
        merged = {key: _merged(SETTINGS.get(key), value) for key, value in settings.items()}
        self._config.write_text(yaml.safe_dump({**SETTINGS, **merged}), encoding="utf-8")
        self._process = namespace.spawn(self._command("run"), "gateway")
        until(self._ready, "the gateway to be ready", START_S)

    def _command(self, command: str, *arguments: str) -> list[str]:
        program = [sys.executable, "-m", "enforcer", command, "--config", str(self._config)]
        return [*program, *arguments]

    def _ready(self) -> bool:
        assert self._process.running, f"the gateway ended: {self._process.complaint}"
        return self.fetch("/readyz").startswith("200")

    def fetch(self, path: str) -> str:
        """The status and the body of an admin page; 000 when nobody answers."""
        curl = ["curl", "-s", "--max-time", "5", "-w", "%{stderr}%{http_code}"]
        done = self._namespace.run([*curl, f"http://{ADMIN}{path}"])
        return f"{done.stderr} {done.stdout}"

    def write_policy(self, text: str) -> None:
        """Replace the policy file in one step, as an editor or a deploy tool does."""
        draft = self._policy.with_name(".policy.draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self._policy)

    def reload(self) -> None:
        self._process.send(signal.SIGHUP)

    def wait_for_reloads(self, count: float, result: str) -> None:
        def reloads() -> bool:
            return self.metrics().value("enforcer_policy_reloads_total", result=result) >= count

        until(reloads, f"{count} reloads with {result}")

    def terminate(self) -> None:
        self._process.send(signal.SIGTERM)

    def wait(self, timeout_s: float = 15) -> int:
        return self._process.wait(timeout_s)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.terminate()
        return self.wait()

    @property
    def running(self) -> bool:
        return self._process.running

    def assert_well(self) -> None:
        """It has had no fault of its own, and ends in order if it has not yet."""
        code = self.stop() if self.running else self.wait()
        assert code == 0, self._state()
        faults = [line for line in self.log_lines() if "exception" in line]
        assert not faults, faults

    def _state(self) -> str:
        running = "it runs" if self.running else f"it ended with {self.wait()}"
        return f"{running}: {self._process.complaint}"

    def log_lines(self) -> list[dict[str, Any]]:
        """The JSON lines of the log so far."""
        lines = self._process.stderr.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def log_text(self) -> str:
        return self._process.stderr.read_text(encoding="utf-8")

    def metrics(self) -> MetricValues:
        status, _, text = self.fetch("/metrics").partition(" ")
        assert status == "200", f"no metrics but {status}; {self._state()}"
        return MetricValues(text)

    def count(self, name: str, **labels: str) -> float:
        """One number of a fresh scrape."""
        return self.metrics().value(name, **labels)

    def audit(self, *arguments: str) -> list[dict[str, Any]]:
        done = self._namespace.run(self._command("audit", "--json", *arguments), check=False)
        assert done.returncode == 0, done.stderr
        return _json_values(done.stdout)

    def show_audit(self) -> int:
        """The audit table on our own standard output; the exit code."""
        return self._namespace.run_in_view(self._command("audit"))

    def audited(self, *arguments: str, timeout_s: float = 5, **facts: Any) -> dict[str, Any]:
        """The newest record that has these facts, once it is written."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            rows = self.audit(*arguments)
            fitting = [row for row in rows if facts.items() <= row.items()]
            if fitting:
                return max(fitting, key=lambda row: row["time"])
            assert time.monotonic() < deadline_s, f"no record has {facts}; there are {rows}"


def _merged(base: Any, change: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        return {**base, **change}
    return change


def _json_values(text: str) -> list[dict[str, Any]]:
    """One JSON array, or one object a line."""
    if text.startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines()]
