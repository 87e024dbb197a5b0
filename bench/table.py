"""The tables, and what was reached of what is wanted. Nothing here is asserted."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from bench.books import Count
from bench.cases import CASES, Result
from bench.reload import Reload

# Enforcer's CPU per query against the best of the peers, by case; (d) is against unbound's.
CPU_TARGETS = {"a": 1.0, "b": 1.0, "b-all": 1.0, "c": 1.0, "d": 2.0}
READY_TARGET, MEMORY_TARGET = 1.2, 1.5  # times dnsmasq's, with the list
LISTED_TARGET = 1.15  # times (a)'s CPU
P99_TARGET_MS = 10.0

Target = tuple[str, str, str, bool]


def print_case(console: Console, key: str, results: Sequence[Result]) -> None:
    table = Table(title=f"({key}) {CASES[key].title}", title_justify="left")
    table.add_column("server")
    for column in ("CPU us/query", "qps", "core", "p50 ms", "p99 ms", "PSS MB", "peak RSS MB"):
        table.add_column(column, justify="right")
    table.add_column("ready s", justify="right")
    table.add_column("lost", justify="right")
    for result in sorted(results, key=lambda result: result.us):
        table.add_row(
            result.server,
            f"{result.us:.1f}",
            f"{result.median_qps:,.0f}",
            f"{result.us * result.median_qps / 1e4:.0f} %",
            _ms(result.percentile_ms(50)),
            _ms(result.percentile_ms(99)),
            f"{result.pss_bytes / 1e6:.0f}",
            f"{result.peak_rss_bytes / 1e6:.0f}",
            f"{result.ready_s:.2f}",
            str(result.lost),
        )
    console.print(table)


def print_reload(console: Console, reload: Reload) -> None:
    table = Table(title=f"(e) {CASES['e'].title}", title_justify="left")
    for column in ("in effect s", "p99 ms", "max ms", "lost", "neither", "PSS MB", "peak RSS MB"):
        table.add_column(column, justify="right")
    table.add_row(
        f"{reload.effect_s:.2f}",
        f"{reload.p99_ms:.2f}",
        f"{reload.max_ms:.2f}",
        str(reload.lost),
        str(reload.neither + reload.unexpected),
        f"{reload.pss_bytes / 1e6:.0f}",
        f"{reload.peak_rss_bytes / 1e6:.0f}",
    )
    console.print(table)


def targets(results: Iterable[Result], reload: Reload | None) -> list[Target]:
    """What is wanted, what was measured, against what, and whether it was reached."""
    by = {(result.case, result.server): result for result in results}
    found: list[Target] = []
    for case, wanted in CPU_TARGETS.items():
        ours = by.get((case, "enforcer"))
        peers = [r for (c, s), r in by.items() if c == case and s != "enforcer"]
        if case == "d":
            peers = [peer for peer in peers if peer.server == "unbound"]
        if ours and peers:
            best = min(peers, key=lambda peer: peer.us)
            found.append(_ratio(f"({case}) CPU per query", ours.us, best.us, best.server, wanted))
    listed, dnsmasq, shipped = (
        by.get(("b", "enforcer")),
        by.get(("b", "dnsmasq")),
        by.get(("a", "enforcer")),
    )
    if listed and dnsmasq:
        ours_s, theirs_s = listed.ready_s, dnsmasq.ready_s
        found.append(_ratio("(b) time to ready", ours_s, theirs_s, "dnsmasq", READY_TARGET))
        ours_b, theirs_b = listed.pss_bytes, dnsmasq.pss_bytes
        found.append(_ratio("(b) memory", ours_b, theirs_b, "dnsmasq", MEMORY_TARGET))
    if listed and shipped:
        found.append(_ratio("(b) CPU per query", listed.us, shipped.us, "(a)", LISTED_TARGET))
    if reload:
        neither = reload.lost + reload.neither + reload.unexpected
        found.append(("(e) lost, or by neither policy", str(neither), "0", neither == 0))
        found.append(
            (
                "(e) p99 during the reload",
                f"{reload.p99_ms:.2f} ms",
                f"{P99_TARGET_MS:.0f} ms",
                reload.p99_ms < P99_TARGET_MS,
            )
        )
    return found


def print_targets(console: Console, rows: Sequence[Target]) -> None:
    table = Table(title="enforcer against the best of this run", title_justify="left")
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("wanted at most", justify="right")
    table.add_column("")
    for what, measured, wanted, reached in rows:
        table.add_row(what, measured, wanted, "reached" if reached else "[bold]missed[/]")
    if rows:
        console.print(table)


def print_books(console: Console, setup: str, seen: Count, booked: Count) -> bool:
    """Whether all are equal."""
    lines = (
        ("blocked", seen.blocked, ("metric", booked.blocked), ("store", booked.stored)),
        ("let through", seen.allowed, ("metric", booked.allowed)),
    )
    equal = True
    for what, answered, *records in lines:
        right = all(count == answered for _, count in records)
        equal &= right
        text = ", ".join(f"{name} {count:,}" for name, count in records)
        verdict = "equal" if right else "[bold red]not equal[/]"
        console.print(f"books ({setup}), {what}: answers {answered:,}, {text}: {verdict}")
    return equal


def _ratio(what: str, ours: float, theirs: float, against: str, wanted: float) -> Target:
    ratio = ours / theirs
    return what, f"{ratio:.2f} x {against}", f"{wanted:g} x", ratio <= wanted


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
