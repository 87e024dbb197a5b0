"""A new policy for a running gateway: on SIGHUP, and when a file of it changes.

Loading happens in a thread; the swap is one assignment. A file that does not load keeps
the policy in force, says why with file and line, and shows in a metric.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from watchfiles import awatch

from enforcer.metrics import Metrics
from enforcer.policy.admit import admit_policy
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.source import PolicyError

log = logging.getLogger(__name__)

# Editors write in several steps; a reload waits for this long a pause.
_DEBOUNCE_MS = 200
_STEP_MS = 50


class PolicyReloader:
    """Keeps the holder's policy in step with its files."""

    def __init__(
        self,
        holder: PolicyHolder,
        path: Path | None,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._holder = holder
        self._path = path
        self._metrics = metrics
        self._clock = clock
        self._asked = asyncio.Event()
        self._stopped = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._in_force(holder.current)

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._reload_when_asked()),
            loop.create_task(self._watch()),
        ]

    def ask(self) -> None:
        """Reload soon; what is asked during a reload makes one more."""
        self._asked.set()

    async def stop(self) -> None:
        self._stopped.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _reload_when_asked(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self._reload()

    async def _reload(self) -> None:
        try:
            policy = await asyncio.to_thread(admit_policy, self._path)
        except PolicyError as error:
            self._metrics.policy_reloads.add("failed")
            self._metrics.policy_last_reload_successful.set(0)
            for problem in error.problems:
                log.error("policy not reloaded, the old one stays: %s", problem)
            return
        self._metrics.policy_reloads.add("succeeded")
        for warning in policy.warnings:
            log.warning("policy: %s", warning)
        changed = policy.policy.digest != self._holder.current.policy.digest
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
        self._metrics.policy_info.cells.clear()
        self._metrics.policy_info.set(1, policy.policy.digest, policy.policy.mode.value)

    async def _watch(self) -> None:
        """Ask for a reload when a file changes; the set of files changes with the policy."""
        while not self._stopped.is_set():
            files = _resolved(self._holder.current.policy.files)
            try:
                await self._watch_files(files)
            except OSError as error:
                log.warning("file changes are not seen, use SIGHUP: %s", error)
                return

    async def _watch_files(self, files: frozenset[Path]) -> None:
        folders = {file.parent for file in files}

        def relevant(_: object, path: str) -> bool:
            # A ConfigMap swaps the symlink ..data instead of the files.
            changed = Path(path)
            return changed.resolve() in files or changed in files or changed.name == "..data"

        async for _ in awatch(
            *folders,
            watch_filter=relevant,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            stop_event=self._stopped,
            recursive=False,
        ):
            self.ask()
            if files != _resolved(self._holder.current.policy.files):
                return


def _resolved(names: Iterable[str]) -> frozenset[Path]:
    return frozenset(Path(name).resolve() for name in names)
