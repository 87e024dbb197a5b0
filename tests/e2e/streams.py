"""Traffic that goes on while something else happens: lookups, and new connections.

Each is a foreign tool that works through a bounded number of requests and then says how
every single one of them ended, in order.
"""

import collections
import re
from dataclasses import dataclass

from e2e.netns import Namespace
from e2e.process import Process

INTERVAL_S = 0.005
# curl's own exit code for a handshake that failed (man curl, 35).
HANDSHAKE_FAILED = "35"


@dataclass(frozen=True)
class Stream:
    """``outcomes`` waits for the end: how each request ended, and how many did so."""

    process: Process
    pattern: str

    def outcomes(self, timeout_s: float = 30) -> collections.Counter[str]:
        self.process.wait(timeout_s)
        text = self.process.stdout.read_text(encoding="utf-8")
        return collections.Counter(re.findall(self.pattern, text))


def look_up_again_and_again(namespace: Namespace, name: str, count: int, *options: str) -> Stream:
    """``count`` lookups by one dig; each outcome is a status, or nothing if it got no answer."""
    feed = f"for i in $(seq {count}); do echo {name}; sleep {INTERVAL_S}; done"
    ask = " ".join(["dig", "+tries=1", "+time=3", *options, "-f", "-"])
    process = namespace.spawn(["sh", "-c", f"{feed} | {ask}"], "lookups")
    return Stream(process, r"status: (\w+)")


def connect_again_and_again(namespace: Namespace, host: str, address: str, count: int) -> Stream:
    """``count`` new TLS connections by one curl; outcomes are ``200 0``, ``000 35`` and so on."""
    said = "%{stderr}%{errormsg}\n%{stdout}ended %{http_code} %{exitcode}\n"
    options = ["-sk", "--max-time", "30", "--rate", "60/s", "-o", "/dev/null", "-w", said]
    resolve = ["--resolve", f"{host}:443:{address}"]
    url = f"https://{host}/?[1-{count}]"
    process = namespace.spawn(["curl", *options, *resolve, url], "connections")
    return Stream(process, r"ended (\d+ \d+)")
