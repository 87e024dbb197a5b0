"""Case e: another list under load. Nothing lost, nothing answered by neither policy."""

import statistics
import time
from dataclasses import dataclass

from bench.books import Books
from bench.load import Counted, Load
from bench.names import ADDED, REMOVED, Names
from bench.peers import ANSWERED, BLOCKED, Enforcer
from bench.probe import Reply, ask

# Half of what a core does, so that a pause shows as latency and not as a full queue.
RELOAD_QPS = 10_000
BEFORE_S = 1.0
AFTER_S = 0.5
POLL_S = 0.01


@dataclass
class Reload:
    """``neither``: answers of the two names that changed which are of neither policy."""

    effect_s: float
    lost: int
    unexpected: int
    neither: int
    p99_ms: float
    max_ms: float
    pss_bytes: int
    peak_rss_bytes: int

    def as_json(self) -> dict[str, object]:
        return {"case": "e", "server": "enforcer", **self.__dict__}


def run_reload(
    server: Enforcer, names: Names, asked: list[str], books: Books, *, seconds: float
) -> Reload:
    """``asked`` is blocked by both policies; ADDED and REMOVED change places meanwhile."""
    queries = names.queries("e", asked)
    began_s = time.monotonic()
    load = Load(server.port, queries, seconds=BEFORE_S + seconds + AFTER_S, qps=RELOAD_QPS)
    time.sleep(BEFORE_S)
    text = server.list_file.read_text(encoding="ascii")
    part = server.list_file.with_suffix(".part")
    part.write_text(text.replace(f"{REMOVED}\n", f"{ADDED}\n"), encoding="ascii")
    part.replace(server.list_file)
    asked_s = time.monotonic()
    server.reload()
    watch = _Watch(server.port, books)
    done_s = watch.until_changed(asked_s + seconds)
    counted = load.finish()
    books.blocked += counted.completed
    during = _during(counted, asked_s - began_s, done_s + AFTER_S - began_s)
    return Reload(
        effect_s=done_s - asked_s,
        lost=counted.lost,
        unexpected=counted.completed - counted.rcodes.get("NXDOMAIN", 0),
        neither=watch.neither,
        p99_ms=statistics.quantiles(during, n=100)[98] * 1000,
        max_ms=max(during) * 1000,
        pss_bytes=server.tree.pss_bytes(),
        peak_rss_bytes=server.tree.peak_rss_bytes(),
    )


class _Watch:
    """Asks for the name that comes and the one that goes, beside the load."""

    def __init__(self, port: int, books: Books) -> None:
        self._port = port
        self._books = books
        self._changed = {ADDED: False, REMOVED: False}
        self.neither = 0

    def until_changed(self, deadline_s: float) -> float:
        while not all(self._changed.values()):
            if time.monotonic() > deadline_s:
                raise RuntimeError("the reload took no effect in time; give --seconds more")
            for name in (ADDED, REMOVED):
                self._look(name)
            time.sleep(POLL_S)
        done_s = time.monotonic()
        # Nothing may go back to what it was.
        for name in (ADDED, REMOVED) * 10:
            self._look(name)
        return done_s

    def _look(self, name: str) -> None:
        old, new = (ANSWERED, BLOCKED) if name == ADDED else (BLOCKED, ANSWERED)
        reply = ask(self._port, name)
        self._note(reply)
        if reply == new:
            self._changed[name] = True
        elif reply != old or self._changed[name]:
            self.neither += 1

    def _note(self, reply: Reply | None) -> None:
        if reply == BLOCKED:
            self._books.blocked += 1
        elif reply is not None:
            self._books.allowed += 1


def _during(counted: Counted, from_s: float, to_s: float) -> tuple[float, ...]:
    """The latencies of that time: dnsperf keeps a steady rate, so their place tells when."""
    qps = counted.completed / counted.seconds
    return counted.latencies_s[int(from_s * qps) : int(to_s * qps)]
