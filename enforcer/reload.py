"""A new policy for a running gateway: on SIGHUP, and when a file of it changes.

Loading happens in a thread; the swap is one assignment, so no query and no connection
notices. What does not load keeps the policy in force, says why with file and line, and
shows in a metric.

Changes are found by looking at the files (stat), not by inotify: docs/decisions/0004.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from enforcer.metrics import Metrics
from enforcer.policy.admit import admit_policy
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.name_table import Remains
from enforcer.policy.source import PolicyError

log = logging.getLogger(__name__)

# Also how long files must be left alone before they are read: editors and copies write
# in several steps, and half a file can be a valid policy.
LOOK_EVERY_S = 0.5
# How long a thread has the interpreter to itself while a policy is loaded: Python's own 5 ms
# are much of what a lookup may take.
TURN_S = 0.0005
# What kept a policy from loading may be a file that nobody looks at, such as a pack
# that was not there.
RETRY_EVERY_S = 5.0

# None for a file that is not there.
Seen = dict[str, tuple[int, ...] | None]


class PolicyReloader:
    """Keeps the holder's policy in step with its files."""

    def __init__(
        self,
        holder: PolicyHolder,
        path: Path | None,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        look_every_s: float = LOOK_EVERY_S,
        retry_every_s: float = RETRY_EVERY_S,
    ) -> None:
        self._holder = holder
        self._path = path
        self._metrics = metrics
        self._clock = clock
        self._look_every_s = look_every_s
        self._retry_every_s = retry_every_s
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._error: PolicyError | None = None
        self._failed_at_s = 0.0
        self._remains: list[Remains] = []
        self._loaded = _look(self._files())
        self._in_force(holder.current)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep_in_step())

    def ask(self) -> None:
        """Reload soon; what is asked during a reload makes one more."""
        self._asked.set()

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _keep_in_step(self) -> None:
        last = self._loaded
        while True:
            asked = await self._asked_within(self._look_every_s)
            seen = await asyncio.to_thread(_look, self._files())
            settled, last = seen == last, seen
            if asked or (settled and seen != self._loaded) or self._retry_is_due():
                await self._reload(asked=asked)
                after = await asyncio.to_thread(_look, self._files())
                # As seen before the load: what changed during it is loaded again.
                self._loaded = last = {file: seen.get(file, after[file]) for file in after}
            if self._remains:
                self._remains = await asyncio.to_thread(_let_go, self._remains)

    async def _asked_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _reload(self, *, asked: bool) -> None:
        """Whoever asked is answered each time; a retry says only what is new."""
        try:
            policy = await asyncio.to_thread(_admit, self._path)
        except PolicyError as error:
            self._failed_at_s = asyncio.get_running_loop().time()
            if asked or self._error is None or self._error.problems != error.problems:
                self._metrics.policy_reloads.add("failed")
                for problem in error.problems:
                    log.error("policy not reloaded, the old one stays: %s", problem)
            self._metrics.policy_last_reload_successful.set(0)
            self._error = error
            return
        except Exception:
            # A fault of ours must end neither the gateway nor the reloads after this one.
            self._metrics.policy_reloads.add("failed")
            self._metrics.policy_last_reload_successful.set(0)
            log.exception("policy not reloaded, the old one stays")
            return
        self._error = None
        self._metrics.policy_reloads.add("succeeded")
        for warning in policy.warnings:
            log.warning("policy: %s", warning)
        changed = policy.policy.digest != self._holder.current.policy.digest
        self._remains += _tables_of(self._holder.current)
        self._holder.current = policy
        self._in_force(policy)
        log.info(
            "policy %s: %s (%s mode)",
            "reloaded" if changed else "is unchanged",
            policy.policy.digest,
            policy.policy.mode,
        )

    def _in_force(self, policy: CompiledPolicy) -> None:
        self._metrics.policy_last_reload_successful.set(1)
        self._metrics.policy_loaded_timestamp.set(self._clock())
        self._metrics.policy_info.set(1, policy.policy.digest, policy.policy.mode.value)

    def _retry_is_due(self) -> bool:
        now_s = asyncio.get_running_loop().time()
        return self._error is not None and now_s - self._failed_at_s >= self._retry_every_s

    def _files(self) -> tuple[str, ...]:
        """Those of the policy in force, and those that the one which failed to load names."""
        failed = [problem.source.file for problem in self._error.problems] if self._error else []
        own = [str(self._path)] if self._path else []
        return tuple(dict.fromkeys([*self._holder.current.policy.files, *own, *failed]))


@contextmanager
def _short_turns() -> Iterator[None]:
    """For a thread with much to do beside the loop that serves, which waits for each turn."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)


def _admit(path: Path | None) -> CompiledPolicy:
    with _short_turns():
        return admit_policy(path)


def _tables_of(policy: CompiledPolicy) -> list[Remains]:
    lists = {names for rule in policy.policy.rules for names in rule.match.lists}
    return [
        table.remains()
        for names in lists
        for table in (names.exact, names.suffix, names.below)
        if len(table)
    ]


def _let_go(remains: list[Remains]) -> list[Remains]:
    """What is still in use."""
    with _short_turns():
        return [part for part in remains if not part.let_go()]


def _look(files: Iterable[str]) -> Seen:
    """What tells one state of each file from another, behind whatever links lead to it."""
    seen: Seen = {}
    for file in files:
        try:
            found = os.stat(file)  # noqa: PTH116 paths come as text, and go no further
        except (OSError, ValueError):
            seen[file] = None
        else:
            seen[file] = (
                found.st_dev,
                found.st_ino,
                found.st_size,
                found.st_mtime_ns,
                found.st_ctime_ns,
            )
    return seen
