"""Whether the gateway's books are right: as many in its metric and its store as dnsperf counted."""

import json
import re
import subprocess
import time
from typing import NamedTuple

from bench.peers import Enforcer, executable

_QUERIES = re.compile(r"^enforcer_dns_queries_total\{(.*)\} ([0-9.e+]+)$", re.MULTILINE)
_CALM_S = 0.5
_CALM_WITHIN_S = 30.0


class Count(NamedTuple):
    """Queries blocked, by the metric and by the sum in the store, and queries let through."""

    blocked: int
    stored: int
    allowed: int

    def since(self, before: "Count") -> "Count":
        return Count(*(now - then for now, then in zip(self, before, strict=True)))


class Books:
    """Opened when nothing is on its way; every answer that somebody got is written down here."""

    def __init__(self, enforcer: Enforcer) -> None:
        self._enforcer = enforcer
        self._before = _count(enforcer)
        self.blocked = 0
        self.allowed = 0

    def compare(self) -> tuple[Count, Count]:
        """What was answered, as the askers saw it, and as the gateway has it on record."""
        seen = Count(self.blocked, self.blocked, self.allowed)
        return seen, _count(self._enforcer).since(self._before)


def _count(enforcer: Enforcer) -> Count:
    blocked, allowed = _settled(enforcer)
    command = [str(executable()), "audit", "--json", "--config", str(enforcer.config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as audit:
        assert audit.stdout
        events = map(json.loads, audit.stdout)
        stored = sum(event["count"] for event in events if event["action"] == "block")
    if audit.returncode:
        raise RuntimeError(f"enforcer audit ended with {audit.returncode}")
    return Count(blocked, stored, allowed)


def _settled(enforcer: Enforcer) -> tuple[int, int]:
    """The metric, once it stands still and the writer's thread has nothing left to do."""
    deadline_s = time.monotonic() + _CALM_WITHIN_S
    before = None
    while time.monotonic() < deadline_s:
        now = (_queries(enforcer, "block"), _queries(enforcer, "allow"), enforcer.tree.cpu_s())
        if before and now[:2] == before[:2] and now[2] - before[2] < _CALM_S / 10:
            break
        before = now
        time.sleep(_CALM_S)
    return now[0], now[1]


def _queries(enforcer: Enforcer, action: str) -> int:
    found = _QUERIES.findall(enforcer.scrape())
    return int(sum(float(value) for labels, value in found if f'action="{action}"' in labels))
