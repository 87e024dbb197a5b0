"""Whether the gateway's books are right: as many in its metric and its store as dnsperf counted."""

import json
import re
import subprocess
from typing import NamedTuple

from bench.peers import Enforcer, executable

_QUERIES = re.compile(r"^enforcer_dns_queries_total\{(.*)\} ([0-9.e+]+)$", re.MULTILINE)


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
    enforcer.tree.settle(enforcer.calm_s)
    command = [str(executable()), "audit", "--json", "--config", str(enforcer.config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as audit:
        assert audit.stdout
        events = map(json.loads, audit.stdout)
        stored = sum(event["count"] for event in events if event["action"] == "block")
    if audit.returncode:
        raise RuntimeError(f"enforcer audit ended with {audit.returncode}")
    return Count(_queries(enforcer, "block"), stored, _queries(enforcer, "allow"))


def _queries(enforcer: Enforcer, action: str) -> int:
    found = _QUERIES.findall(enforcer.scrape())
    return int(sum(float(value) for labels, value in found if f'action="{action}"' in labels))
