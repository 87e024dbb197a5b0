"""A process tree, as /proc sees it: its CPU time and its memory."""

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
# What a server does that is asked nothing.
_IDLE_SHARE = 0.03


def on_core(core: int) -> list[str]:
    """In front of a command: it runs there, and ends when we do, however we end."""
    return ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core)]


class Tree:
    """A command on one core, with all that it starts. Ended on exit."""

    def __init__(self, command: Sequence[str], core: int, log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            # Each becomes the next, so that the pid is the command's.
            self._root = subprocess.Popen(
                [*on_core(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def running(self) -> bool:
        return self._root.poll() is None

    def signal(self, number: int) -> None:
        self._root.send_signal(number)

    def stop(self, timeout_s: float = 15.0) -> None:
        self._root.terminate()
        try:
            self._root.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._root.kill()
            self._root.wait()

    def cpu_s(self) -> float:
        """User and system time of all processes, and of children that ended."""
        ticks = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                # After the command in brackets: fields 14 to 17, of which 12 are before.
                fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
        return ticks / _TICKS_PER_S

    def settle(self, calm_s: float, timeout_s: float = 15.0) -> None:
        """Wait until it does nothing any more for so long."""
        deadline_s = time.monotonic() + timeout_s
        spent_s = self.cpu_s()
        while time.monotonic() < deadline_s:
            time.sleep(calm_s)
            before_s, spent_s = spent_s, self.cpu_s()
            if spent_s - before_s < _IDLE_SHARE * calm_s:
                return

    def pss_bytes(self) -> int:
        """What it holds now; pages shared with others in equal parts."""
        return sum(_kib(pid, "smaps_rollup", "Pss:") for pid in self._pids()) * 1024

    def peak_rss_bytes(self) -> int:
        """The most that each process ever held. The kernel keeps no peak of the PSS."""
        return sum(_kib(pid, "status", "VmHWM:") for pid in self._pids()) * 1024

    def _pids(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for entry in _PROC.iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    children.setdefault(int(fields[1]), []).append(int(entry.name))
        found = [self._root.pid]
        for pid in found:
            found += children.get(pid, ())
        return found


def _kib(pid: int, file: str, key: str) -> int:
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / file).read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1])
    return 0
