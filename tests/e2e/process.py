"""A child process that a test waits for, reads and always ends. No product import."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")
POLL_S = 0.02
# The child dies with us, even when we are killed and no finaliser runs.
DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")


def until(look: Callable[[], T], what: str, timeout_s: float = 5) -> T:
    """What ``look`` gives once it is true; AssertionError when that takes too long."""
    deadline_s = time.monotonic() + timeout_s
    while not (seen := look()):
        assert time.monotonic() < deadline_s, f"waited {timeout_s} s for {what}"
        time.sleep(POLL_S)
    return seen


class Process:
    """Output goes to files, so that nothing blocks on a pipe that nobody reads."""

    def __init__(
        self,
        argv: Sequence[str],
        output: Path,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.stdout = output.with_suffix(".out")
        self.stderr = output.with_suffix(".err")
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self._child = subprocess.Popen(
                [*DIES_WITH_PARENT, *argv],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                env=environment,
                # Ctrl-C is for the test, which then ends its children in order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def wait_for_output(self, text: str, timeout_s: float = 10) -> None:
        def seen() -> bool:
            if text in self.stdout.read_text(encoding="utf-8"):
                return True
            assert self.running, f"ended early: {self.complaint}"
            return False

        until(seen, f"{text!r} from {self._child.args}", timeout_s)

    @property
    def complaint(self) -> str:
        """The end of standard error, for an assertion's message."""
        return self.stderr.read_text(encoding="utf-8", errors="replace")[-2000:]

    def send(self, signal_number: int) -> None:
        self._child.send_signal(signal_number)

    def end_input(self) -> None:
        if self._child.stdin:
            self._child.stdin.close()

    def wait(self, timeout_s: float = 10) -> int:
        return self._child.wait(timeout_s)

    def finish(self, timeout_s: float = 5) -> int:
        """Let it end by itself after its input ended; its exit code."""
        self.end_input()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout_s)
        return self.stop()

    def stop(self, timeout_s: float = 5) -> int:
        """End it kindly, then not; its exit code."""
        self._child.terminate()
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait(timeout_s)
        finally:
            self.end_input()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
