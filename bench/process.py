"""A process tree, as /proc sees it: its CPU time and its memory."""

import contextlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Tree:
    """A command on one core, with all that it starts. Ended on exit."""

    def __init__(self, command: Sequence[str], core: int, log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            # taskset(1) becomes the command, so its pid is the command's.
            self._root = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
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
