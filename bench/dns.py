"""``make bench-dns``: the DNS plane beside dnsdist, unbound and dnsmasq, in one run.

Each server has one core, dnsperf and the upstream the other. What is printed is CPU per query
(of the whole process tree, the audit writer and the metrics in it), so that a busy neighbour
costs time, not truth. Exit 1 when the gateway's books are not right.

    python -m bench.dns --cases a,c --servers enforcer,dnsmasq --seconds 5
"""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

from bench.books import Books
from bench.cases import CASES, Result, run_case
from bench.load import run_dnsperf
from bench.names import Names, hits
from bench.peers import SERVERS, Blocking, Enforcer, Server, Upstream
from bench.reload import Reload, run_reload
from bench.table import print_books, print_case, print_reload, print_targets, targets

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
PACK = HERE.parent / "policies/packs/ngrok.yaml"
QUICK_SECONDS, QUICK_LIST = 0.5, 20_000
RELOAD_WITHIN_S = 8.0

WIDTH = 108  # of the tables, also where there is no terminal

console = Console(width=max(WIDTH, Console().width))
progress = Console(stderr=True)


def shipped_names() -> list[str]:
    """The names that the shipped policy blocks, without its patterns."""
    rules = yaml.safe_load(PACK.read_text(encoding="utf-8"))["rules"]
    blocks = [rule["match"] for rule in rules if rule["action"] == "block"]
    return [
        name for match in blocks for key in ("suffixes", "names") for name in match.get(key, ())
    ]


class Run:
    """All that is asked for, and what came of it."""

    def __init__(self, cases: list[str], servers: list[str], seconds: float, rounds: int) -> None:
        self.cases = cases
        self.servers = servers
        self.seconds = seconds
        self.rounds = rounds
        self.results: list[Result] = []
        self.reload: Reload | None = None
        self.books_right = True

    def setup(self, setup: str, names: Names, folder: Path) -> None:
        """Start the servers with one policy, and measure its cases."""
        keys = [key for key in self.cases if CASES[key].setup == setup]
        if not keys:
            return
        shipped = shipped_names()
        listed = setup == "listed"
        blocking = Blocking(names.listed(), names.list_file) if listed else Blocking(shipped)
        with ExitStack() as ends:
            upstream = Upstream(folder)
            ends.callback(upstream.tree.stop)
            if "d" in keys:
                self._show_upstream(upstream, names)
            servers: list[Server] = []
            for name in self.servers:
                if name != "enforcer" and keys == ["e"]:
                    continue
                progress.print(f"{setup}: starting {name}")
                server = SERVERS[name](folder, blocking, upstream.port)
                server.start()
                ends.callback(server.tree.stop)
                servers.append(server)
            enforcer = next((s for s in servers if isinstance(s, Enforcer)), None)
            books = Books(enforcer) if enforcer else None
            for key in keys:
                if key == "e":
                    if enforcer and books:
                        self._reload(enforcer, names, shipped, books)
                    continue
                results = run_case(
                    CASES[key],
                    servers,
                    names,
                    shipped,
                    books,
                    seconds=self.seconds,
                    rounds=self.rounds,
                    say=progress.print,
                )
                self.results += results
                print_case(console, key, results)
            if books:
                self.books_right &= print_books(console, setup, *books.compare())

    def _reload(self, server: Enforcer, names: Names, asked: list[str], books: Books) -> None:
        progress.print("e: enforcer, reload")
        self.reload = run_reload(server, names, asked, books, seconds=RELOAD_WITHIN_S)
        print_reload(console, self.reload)

    def _show_upstream(self, upstream: Upstream, names: Names) -> None:
        counted = run_dnsperf(upstream.port, names.queries("upstream", hits()), seconds=0.5)
        qps = counted.completed / counted.seconds
        console.print(f"the upstream (nsd, on dnsperf's core) answers {qps:,.0f} queries a second")

    def as_json(self) -> dict[str, object]:
        return {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": self.seconds,
            "rounds": self.rounds,
            "versions": versions(self.servers),
            "results": [result.as_json() for result in self.results]
            + ([self.reload.as_json()] if self.reload else []),
            "targets": [
                dict(zip(("what", "measured", "wanted", "reached"), row, strict=True))
                for row in targets(self.results, self.reload)
            ],
            "books_right": self.books_right,
        }


def versions(servers: list[str]) -> dict[str, str]:
    """By Debian's count, and Python's own."""
    found = {"python": sys.version.split()[0]}
    packages = {name: SERVERS[name].package for name in servers if SERVERS[name].package}
    for name, package in {**packages, "dnsperf": "dnsperf", "nsd": "nsd"}.items():
        shown = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", package],
            capture_output=True,
            text=True,
            check=False,
        )
        found[name] = shown.stdout or "unknown"
    return found


def _chosen(text: str, known: list[str], what: str) -> list[str]:
    wanted = [word.strip() for word in text.split(",")]
    if unknown := [word for word in wanted if word not in known]:
        raise typer.BadParameter(f"no such {what}: {unknown[0]}; there are {', '.join(known)}")
    return [word for word in known if word in wanted]


def main(
    cases: Annotated[str, typer.Option(help="Which, with commas.")] = ",".join(CASES),
    servers: Annotated[str, typer.Option(help="Which, with commas.")] = ",".join(SERVERS),
    seconds: Annotated[float, typer.Option(help="Of full load in a round.", min=0.1)] = 2.0,
    rounds: Annotated[int, typer.Option(help="How often; medians are shown.", min=1)] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="One short round, a short list.")] = False,
    output: Annotated[Path, typer.Option("--json", help="Where.")] = CACHE / "dns.json",
) -> None:
    """Measure the DNS plane beside its peers."""
    if quick:
        seconds, rounds = QUICK_SECONDS, 1
    run = Run(
        _chosen(cases, list(CASES), "case"),
        _chosen(servers, list(SERVERS), "server"),
        seconds,
        rounds,
    )
    names = Names(CACHE, QUICK_LIST) if quick else Names(CACHE)
    for setup in ("shipped", "listed"):
        with tempfile.TemporaryDirectory(prefix="bench-dns-") as folder:
            run.setup(setup, names, Path(folder))
    print_targets(console, targets(run.results, run.reload))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(run.as_json(), indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {output}")
    if not run.books_right:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
