"""A running edge.py: which certificates it shows, and what its log says happened."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.process import Process, until
from pki import Leaf

EDGE = Path(__file__).with_name("edge.py")
ANY_NAME = "*"

Spawn = Callable[[Sequence[str], str], Process]


@dataclass
class EdgeSession:
    """One agent's session, as the edge saw it."""

    sni: str
    client: str
    authenticated: bool = False
    user_agent: str = ""
    binds: list[str] = field(default_factory=list)
    ended: bool = False


class Ingress:
    """``listen`` are addresses with ports; ``spawn`` says where the process runs."""

    def __init__(
        self,
        directory: Path,
        spawn: Spawn,
        listen: Sequence[str],
        certificates: Mapping[str, Leaf],
        endpoints: Sequence[str] = (),
    ) -> None:
        directory.mkdir()
        self._directory = directory
        self._writes = 0
        self._map = directory / "certificates.json"
        self._log = directory / "sessions.jsonl"
        self._log.touch()
        self.present(certificates)
        options = [
            *(f"--listen={address}" for address in listen),
            *(f"--endpoints={address}" for address in endpoints),
            f"--certificates={self._map}",
            f"--log={self._log}",
        ]
        self.process = spawn([sys.executable, str(EDGE), *options], directory.name)
        self.process.wait_for_output("ready")

    def present(self, certificates: Mapping[str, Leaf]) -> None:
        """Show these from the next connection on; ANY_NAME is for names not listed."""
        self._writes += 1
        entries = {}
        for number, (name, leaf) in enumerate(certificates.items()):
            chain, key = leaf.write(self._directory, f"{self._writes}-{number}")
            entries[name] = {"chain": str(chain), "key": str(key)}
        draft = self._map.with_suffix(".draft")
        draft.write_text(json.dumps(entries), encoding="utf-8")
        draft.replace(self._map)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self._events() if event["event"] == kind]

    def hellos(self, sni: str) -> int:
        """How many ClientHellos with this name arrived: probes, and clients let through."""
        return sum(event["sni"] == sni for event in self.events("hello"))

    def sessions(self) -> list[EdgeSession]:
        """Connections whose client sent at least a byte inside TLS."""
        sessions: dict[int, EdgeSession] = {}
        for event in self._events():
            number = event.get("session")
            if event["event"] == "session":
                sessions[number] = EdgeSession(event["sni"], event["client"])
            elif number in sessions:
                _apply(event, sessions[number])
        return list(sessions.values())

    def wait_for_bind(self, url: str) -> EdgeSession:
        def bound() -> EdgeSession | None:
            return next((one for one in self.sessions() if url in one.binds), None)

        return until(bound, f"the edge to bind {url}")

    def log_text(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def _events(self) -> list[dict[str, Any]]:
        # The last line may be half written.
        lines = self.log_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


def _apply(event: Mapping[str, Any], session: EdgeSession) -> None:
    match event["event"]:
        case "auth":
            session.authenticated = event["ok"]
            session.user_agent = event["user_agent"]
        case "bind":
            session.binds.append(event["url"])
        case "end":
            session.ended = True
