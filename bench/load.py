"""dnsperf, on the load's core: what it counted, and each query's latency at a fixed rate."""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.process import LOAD_CORE, on_core

# So many queries are on their way at once; dnsperf's default.
OUTSTANDING = 100
# Latencies are compared at one rate, which every server can keep up with: at full load they
# would say how long dnsperf's own queue is.
LATENCY_QPS = 5_000
_LATENCY = re.compile(r"^> \w+ \S+ \w+ ([0-9.]+)$", re.MULTILINE)
_RCODE = re.compile(r"([A-Z]\w+) (\d+) \(")


class Counted(NamedTuple):
    """``latencies_s`` in the order of the answers, and only when they were asked for."""

    sent: int
    completed: int
    seconds: float
    rcodes: dict[str, int]
    latencies_s: tuple[float, ...] = ()

    @property
    def lost(self) -> int:
        return self.sent - self.completed


def run_dnsperf(
    port: int,
    queries: Path,
    *,
    seconds: float | None = None,
    once: bool = False,
    qps: int | None = None,
) -> Counted:
    """Ask ``queries`` again and again for ``seconds``, or each of them ``once``.

    With ``qps`` the latency of each is kept.
    """
    return Load(port, queries, seconds=seconds, once=once, qps=qps).finish()


class Load:
    """dnsperf at work. Its report goes into a file: a pipe that nobody reads would stop it."""

    def __init__(
        self,
        port: int,
        queries: Path,
        *,
        seconds: float | None,
        once: bool = False,
        qps: int | None = None,
    ) -> None:
        command = [*on_core(LOAD_CORE), "dnsperf", "-s", "127.0.0.1", "-p", str(port)]
        command += ["-d", str(queries), "-q", str(OUTSTANDING), "-t", "2", "-W"]
        if seconds is not None:
            command += ["-l", f"{seconds:g}"]
        if once:
            command += ["-n", "1"]
        if qps is not None:
            command += ["-v", "-Q", str(qps)]
        self._report = tempfile.TemporaryFile("w+")  # noqa: SIM115 closed by finish
        self._process = subprocess.Popen(command, stdout=self._report, text=True)

    def finish(self) -> Counted:
        """Wait for its end. Raises RuntimeError for one that is not in order."""
        code = self._process.wait()
        with self._report as file:
            file.seek(0)
            report = file.read()
        if code:
            raise RuntimeError(f"dnsperf ended with {code}:\n{report[-2000:]}")
        return read_report(report)


def read_report(report: str) -> Counted:
    statistics = report.rpartition("Statistics:")[2]
    rcodes = next((line for line in statistics.splitlines() if "Response codes:" in line), "")
    return Counted(
        sent=int(_number(statistics, "Queries sent")),
        completed=int(_number(statistics, "Queries completed")),
        seconds=_number(statistics, r"Run time \(s\)"),
        rcodes={rcode: int(count) for rcode, count in _RCODE.findall(rcodes)},
        latencies_s=tuple(map(float, _LATENCY.findall(report))),
    )


def _number(statistics: str, label: str) -> float:
    found = re.search(rf"{label}:\s+([0-9.]+)", statistics)
    if not found:
        raise RuntimeError(f"dnsperf's report has no {label!r}:\n{statistics[-2000:]}")
    return float(found[1])
