"""dnsperf, on the load's core: what it counted, and each query's latency at a fixed rate."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from bench.process import LOAD_CORE

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
    return read_report(_finish(start_dnsperf(port, queries, seconds=seconds, once=once, qps=qps)))


def start_dnsperf(
    port: int, queries: Path, *, seconds: float | None, once: bool = False, qps: int | None = None
) -> subprocess.Popen[str]:
    command = ["taskset", "-c", str(LOAD_CORE), "dnsperf", "-s", "127.0.0.1", "-p", str(port)]
    command += ["-d", str(queries), "-q", str(OUTSTANDING), "-t", "2", "-W"]
    if seconds is not None:
        command += ["-l", f"{seconds:g}"]
    if once:
        command += ["-n", "1"]
    if qps is not None:
        command += ["-v", "-Q", str(qps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen[str]) -> str:
    report, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"dnsperf ended with {process.returncode}:\n{report[-2000:]}")
    return report


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
