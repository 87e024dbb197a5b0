"""A network namespace with a resolv.conf and a hosts file of its own.

Commands are run by nsenter. The two files are mounted over /etc/resolv.conf and
/etc/hosts in a mount namespace that a sleeping process holds, so nothing is written
under /etc, and all of it works in a user namespace too.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e.process import Process, until

RUN_NETNS = Path("/run/netns")
PREFIX = "enforcer-lab"


class Namespace:
    """``start`` makes it, ``close`` kills what runs in it and removes it."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._directory = directory
        self._resolv_conf = directory / "resolv.conf"
        self._hosts = directory / "hosts"
        self._holder: Process | None = None
        self._processes: list[Process] = []

    def start(self, nameservers: Sequence[str]) -> None:
        self._directory.mkdir()
        lines = [f"nameserver {address}\n" for address in nameservers]
        self._resolv_conf.write_text("".join(lines) + "options timeout:2 attempts:1\n")
        self.map_hosts({})
        _ip("netns", "add", self.name)
        # Without duplicate address detection, which would hold IPv6 back for two seconds.
        hold = (
            "sysctl -qw net.ipv6.conf.default.accept_dad=0 && "
            f"mount --bind {self._resolv_conf} /etc/resolv.conf && "
            f"mount --bind {self._hosts} /etc/hosts && "
            "ip link set lo up && echo ready && exec sleep infinity"
        )
        enter = ["nsenter", f"--net={RUN_NETNS / self.name}", "unshare", "--mount"]
        self._holder = Process(
            [*enter, "--propagation", "private", "sh", "-c", hold], self._directory / "holder"
        )
        self._holder.wait_for_output("ready")

    def map_hosts(self, hosts: Mapping[str, str]) -> None:
        """Names that the namespace's processes find without DNS."""
        entries = {"localhost": "127.0.0.1", **hosts}
        # Written in place: a new file would not show through the mount.
        self._hosts.write_text("".join(f"{ip} {name}\n" for name, ip in entries.items()))

    def ip_batch(self, commands: Sequence[str]) -> None:
        """Several ip(8) commands inside, at the price of one."""
        _ip("-n", self.name, "-batch", "-", text="\n".join(commands) + "\n")

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 15,
        check: bool = False,
        text: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._enter(), *argv],
            timeout=timeout_s,
            check=check,
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )

    def run_in_view(self, argv: Sequence[str], *, timeout_s: float = 15) -> int:
        """Let a person see the output; the exit code."""
        command = [*self._enter(), *argv]
        return subprocess.run(command, timeout=timeout_s, check=False).returncode

    def spawn(
        self,
        argv: Sequence[str],
        stem: str,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """A process that ends with the namespace at the latest; its output is in ``stem``.*"""
        process = Process(
            [*self._enter(), *argv],
            self._directory / f"{len(self._processes)}-{stem}",
            environment=environment,
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        remove(self.name)
        for process in (*self._processes, self._holder):
            if process is not None:
                process.stop()

    def _enter(self) -> list[str]:
        assert self._holder is not None, f"{self.name} was not started"
        proc = f"/proc/{self._holder.pid}/ns"
        return ["nsenter", f"--net={proc}/net", f"--mount={proc}/mnt", "--"]


def remove(name: str) -> None:
    """Kill what runs in a namespace, then remove it. Gone already is fine."""
    if not (RUN_NETNS / name).exists():
        return

    def empty() -> bool:
        pids = _ip("netns", "pids", name).split()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        return not pids

    until(empty, f"the processes in {name} to end")
    _ip("netns", "delete", name)


def remove_orphans() -> None:
    """Namespaces of a run that was killed: their names carry the pid of their maker."""
    for path in RUN_NETNS.glob(f"{PREFIX}-*"):
        pid = path.name.removeprefix(f"{PREFIX}-").partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            remove(path.name)


def _ip(*arguments: str, text: str = "") -> str:
    done = subprocess.run(
        ["ip", *arguments],
        input=text,
        capture_output=True,
        encoding="utf-8",
        timeout=10,
        check=False,
    )
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}{text}"
    return done.stdout
