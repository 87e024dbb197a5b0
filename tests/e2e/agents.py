"""Running agent.py: a real ngrok agent that connects once, or stays connected."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from e2e.ingress import Spawn
from e2e.process import until

AGENT = Path(__file__).with_name("agent.py")
TIMEOUT_S = 10


@dataclass(frozen=True)
class AgentResult:
    """What the agent says of its attempt; ``seconds`` is the attempt alone."""

    connected: bool
    url: str
    error: str
    seconds: float


class Agent:
    """A context manager: inside, a connected agent stays so."""

    def __init__(self, spawn: Spawn, directory: Path, server_addr: str, ca_pem: bytes) -> None:
        ca_path = directory / "agent-ca.pem"
        ca_path.write_bytes(ca_pem)
        self._process = spawn(
            [
                sys.executable,
                str(AGENT),
                server_addr,
                f"--ca={ca_path}",
                f"--timeout={TIMEOUT_S}",
                "--hold",
            ],
            "agent",
        )
        self.result = self._read_result()

    def _read_result(self) -> AgentResult:
        def line() -> str:
            text = self._process.stdout.read_text(encoding="utf-8")
            assert text.endswith("\n") or self._process.running, self._process.complaint
            return text if text.endswith("\n") else ""

        return AgentResult(**json.loads(until(line, "the agent's result", 2 * TIMEOUT_S)))

    @property
    def running(self) -> bool:
        return self._process.running

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The SDK closes its session in order when its input ends."""
        self._process.finish()
