"""What is measured, case by case: a to e of the table, on servers that are up."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.books import Books
from bench.load import LATENCY_QPS, Counted, run_dnsperf
from bench.names import Names, hits, misses
from bench.peers import ANSWERED, BLOCKED, Enforcer, Server
from bench.probe import Reply, ask

# No server here answers more in a second; a file of misses must not run out.
MOST_QPS = 120_000
LATENCY_SHARE = 0.3


@dataclass(frozen=True)
class Case:
    key: str
    title: str
    setup: str  # which policy the servers have: shipped or listed
    expected: Reply
    repeats: bool = True


CASES = {
    case.key: case
    for case in (
        Case("a", "blocked names, shipped policy", "shipped", BLOCKED),
        Case("c", "cache hits", "shipped", ANSWERED),
        Case("d", "cache misses", "shipped", ANSWERED),
        Case("b", "blocked names, the list", "listed", BLOCKED),
        Case("b-all", "each name of the list once", "listed", BLOCKED, repeats=False),
        Case("e", "reload of the list under load", "listed", BLOCKED),
    )
}


@dataclass
class Result:
    """One server in one case; medians of the rounds."""

    case: str
    server: str
    ready_s: float
    us_per_query: list[float] = field(default_factory=list)
    qps: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    lost: int = 0
    pss_bytes: int = 0
    peak_rss_bytes: int = 0

    @property
    def us(self) -> float:
        return statistics.median(self.us_per_query)

    @property
    def median_qps(self) -> float:
        return statistics.median(self.qps)

    def percentile_ms(self, percent: int) -> float | None:
        if len(self.latencies_s) < 100:
            return None
        return statistics.quantiles(self.latencies_s, n=100)[percent - 1] * 1000

    def as_json(self) -> dict[str, object]:
        return {
            "case": self.case,
            "server": self.server,
            "cpu_us_per_query": round(self.us, 2),
            "cpu_us_per_query_rounds": [round(us, 2) for us in self.us_per_query],
            "qps": round(self.median_qps),
            "p50_ms": self.percentile_ms(50),
            "p99_ms": self.percentile_ms(99),
            "lost": self.lost,
            "ready_s": round(self.ready_s, 3),
            "pss_mb": round(self.pss_bytes / 1e6, 1),
            "peak_rss_mb": round(self.peak_rss_bytes / 1e6, 1),
        }


class Round:
    """The load of one case on one server, and the books that are kept of it."""

    def __init__(self, case: Case, names: Names, blocked: Sequence[str], seconds: float) -> None:
        self.case = case
        self.seconds = seconds
        self._names = names
        self._first = {
            "a": lambda: blocked,
            "b": names.sample,
            "b-all": names.listed,
            "c": hits,
            "d": lambda: list(misses("check", 20)),
        }[case.key]()

    def check(self, server: Server, books: Books | None) -> None:
        """The server answers what it should, before anything is measured."""
        for name in (*self._first[:10], *self._first[-10:]):
            reply = ask(server.port, name)
            if reply != self.case.expected:
                raise RuntimeError(f"{server.name} answers {name} with {reply}")
            self._note(books, 1)

    def warm(self, server: Server, books: Books | None) -> None:
        """Every name once, so that a cache has it."""
        if self.case.key == "c":
            counted = run_dnsperf(server.port, self._file("c"), once=True)
            self._note(books, counted.completed)

    def run(self, server: Server, number: int, result: Result, books: Books | None) -> None:
        fresh = f"{server.name}-{number}"
        before_s = server.tree.cpu_s()
        if self.case.repeats:
            counted = run_dnsperf(
                server.port,
                self._file(fresh),
                seconds=self.seconds,
                once=self.case.key == "d",
            )
        else:
            counted = run_dnsperf(server.port, self._file(fresh), once=True)
        if server.calm_s:
            server.tree.settle(server.calm_s)
        spent_s = server.tree.cpu_s() - before_s
        self._check_rcodes(server, counted)
        self._note(books, counted.completed)
        result.lost += counted.lost
        result.us_per_query.append(spent_s / counted.completed * 1e6)
        result.qps.append(counted.completed / counted.seconds)
        if self.case.repeats:
            seconds = max(0.5, self.seconds * LATENCY_SHARE)
            file = self._file(f"{fresh}-slow", int(2 * LATENCY_QPS * seconds))
            slow = run_dnsperf(server.port, file, seconds=seconds, qps=LATENCY_QPS)
            self._check_rcodes(server, slow)
            self._note(books, slow.completed)
            result.lost += slow.lost
            result.latencies_s += slow.latencies_s

    def _file(self, series: str, length: int = 0) -> Path:
        if self.case.key == "d":
            length = length or int(MOST_QPS * self.seconds)
            return self._names.queries("d", misses(series, length))
        return self._names.queries(self.case.key, self._first)

    def _check_rcodes(self, server: Server, counted: Counted) -> None:
        expected = "NXDOMAIN" if self.case.expected is BLOCKED else "NOERROR"
        if not counted.completed or set(counted.rcodes) != {expected}:
            raise RuntimeError(f"{server.name} answered {counted.rcodes}, not {expected} only")

    def _note(self, books: Books | None, count: int) -> None:
        if books and self.case.expected is BLOCKED:
            books.blocked += count
        elif books:
            books.allowed += count


def run_case(
    case: Case,
    servers: Sequence[Server],
    names: Names,
    blocked: Sequence[str],
    books: Books | None,
    *,
    seconds: float,
    rounds: int,
    say: Callable[[str], None],
) -> list[Result]:
    """All servers, in turn and in another order each round, so that none has the quiet hour."""
    results = {server.name: Result(case.key, server.name, server.ready_s) for server in servers}
    load = Round(case, names, blocked, seconds)

    def of(server: Server) -> Books | None:
        return books if isinstance(server, Enforcer) else None

    for server in servers:
        load.check(server, of(server))
        load.warm(server, of(server))
    for number in range(rounds if case.repeats else 1):
        for server in (*servers[number:], *servers[:number]):
            say(f"{case.key}: {server.name}, round {number + 1}")
            load.run(server, number, results[server.name], of(server))
    for server in servers:
        results[server.name].pss_bytes = server.tree.pss_bytes()
        results[server.name].peak_rss_bytes = server.tree.peak_rss_bytes()
    return list(results.values())
