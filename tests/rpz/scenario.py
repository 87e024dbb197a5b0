"""A scenario file as steps: what changes, what is asked, what must come out."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import yaml

# 2026-11-24 12:00:00 UTC, a Tuesday.
NOON_S = 1_795_521_600.0
_ZONE_HEAD = "$ORIGIN {}.\n$TTL 60\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\n"
_FILE_KEYS = {"about", "rules", "policy", "zones", "lists", "upstream", "steps"}
_STEP_KEYS = {"ask", "client", "over", "at", "edns", "expect"}
EXPECTED_KEYS = {
    *("silent", "rcode", "answers", "action", "rule", "truncated", "ede", "ede_text", "soa"),
    *("ttl", "question", "recorded_name", "upstream_asked"),
}


class Question(NamedTuple):
    name: str
    qtype: str
    client: str
    over: str
    now_s: float
    edns: bool
    expected: dict


class Scenario:
    """``files`` are the policy and what stands beside it."""

    def __init__(self, path: Path) -> None:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        _refuse_unknown(document, _FILE_KEYS, path.name)
        self.upstream = document.get("upstream", "")
        self.steps = document["steps"]
        zones = document.get("zones", {})
        self.files = {
            **document.get("lists", {}),
            **{f"{zone}.zone": _ZONE_HEAD.format(zone) + text for zone, text in zones.items()},
        }
        self._policy = {"version": 1, "default": "allow", **document.get("policy", {})}
        if zones:
            self._policy["rpz"] = [{"id": zone, "file": f"{zone}.zone"} for zone in zones]
        if "rules" in document:
            self._policy["rules"] = document["rules"]

    def policy(self, changes: dict | None = None) -> str:
        """The policy's text, with these keys in place of its own."""
        return yaml.safe_dump({**self._policy, **(changes or {})}, sort_keys=False)


def read_question(step: dict) -> Question:
    _refuse_unknown(step, _STEP_KEYS, "a step")
    _refuse_unknown(step["expect"], EXPECTED_KEYS, "expect")
    name, qtype = step["ask"].split()
    return Question(
        name,
        qtype,
        step.get("client", "192.0.2.10"),
        step.get("over", "udp"),
        _time(step.get("at", "+0")),
        step.get("edns", True),
        step["expect"],
    )


def _time(at: object) -> float:
    # YAML makes a datetime of a time, and an int of +100.
    if isinstance(at, datetime):
        return at.timestamp()
    return NOON_S + float(str(at))


def _refuse_unknown(mapping: dict, known: set, what: str) -> None:
    assert mapping.keys() <= known, f"{what} has {sorted(mapping.keys() - known)}"
