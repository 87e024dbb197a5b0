"""DNS workers, seen from the main process: started, heard, restarted, and ended with it.

Each is a process that serves on ports that all of them share (process.py). Its channel is
its life line: what it recorded and counted comes over it, and its end is the worker's.
docs/decisions/0007 says why it is done like this.
"""

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from enforcer.audit.event import Record
from enforcer.dns.packets.cookies import SECRET_BYTES
from enforcer.dns.serving.sockets import SharePort
from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder
from enforcer.settings.dns import DnsSettings
from enforcer.settings.endpoint import Endpoint
from enforcer.workers.channel import Channel, ChannelError, Message, open_channel
from enforcer.workers.report import read_counts, read_events
from enforcer.workers.tally import Tally

log = logging.getLogger(__name__)

# -P: whatever stands in the folder that the gateway was started in is not ours.
COMMAND: Final = (sys.executable, "-P", "-m", "enforcer.workers.process")
# A worker reports far more often; one that is silent for so long serves nobody.
SILENCE_S: Final = 30.0
_LOOKS: Final = 3
BACK_OFF_S: Final = 1.0
MAX_BACK_OFF_S: Final = 30.0
# On top of the time to drain: the last report, and the end of the process.
_FAREWELL_S: Final = 3.0
_EXIT_S: Final = 1.0
_SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

Listening = dict[str, list[Endpoint]]


class WorkerError(Exception):
    """A worker cannot serve; the message says why, and what to change."""


class _Process:
    """One worker's process, from its start to its end."""

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel) -> None:
        self.channel = channel
        self.serving = False
        self.digest = ""
        self.heard = 0
        self._process = process

    def tell_where(self, where: asyncio.Future[Message]) -> None:
        """Where to listen, once that is known."""
        if not where.cancelled():
            self.channel.send(where.result())

    async def watch(self, silence_s: float) -> None:
        """Kill it when nothing is heard for so long, and we were awake to hear it."""
        heard, silent = -1, 0
        while silent < _LOOKS:
            await asyncio.sleep(silence_s / _LOOKS)
            silent = silent + 1 if self.serving and self.heard == heard else 0
            heard = self.heard
        log.error("a DNS worker was silent for %g s, and is killed", silence_s)
        self._process.kill()

    async def end(self) -> str:
        """Wait for it, but not for long; says how it ended."""
        await self.channel.close()
        try:
            code = await asyncio.to_thread(self._process.wait, _EXIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = await asyncio.to_thread(self._process.wait)
        except asyncio.CancelledError:
            self._process.kill()
            raise
        return f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


class Workers:
    """All of them. ``start``, then ``drain`` once."""

    def __init__(
        self,
        settings: DnsSettings,
        policy_path: Path | None,
        policy: PolicyHolder,
        record: Record,
        metrics: Metrics,
        *,
        flush_interval_s: float,
        command: Sequence[str] = COMMAND,
        back_off_s: float = BACK_OFF_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        """``settings`` with the upstreams to ask, wherever they come from."""
        self._first_message: Message = {
            "is": "start",
            "dns": _for_one(settings).model_dump(mode="json"),
            "policy": str(policy_path) if policy_path else None,
            "cookie_secret": secrets.token_bytes(SECRET_BYTES).hex(),
            "flush_interval_s": flush_interval_s,
        }
        self._count = settings.workers
        self._policy = policy
        self._record = record
        self._metrics = metrics
        self._tally = Tally(metrics)
        self._command = command
        self._back_off_s = back_off_s
        self._silence_s = silence_s
        self._where: asyncio.Future[Message]
        self._running: dict[int, _Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        metrics.before_scrape(self._count_in_step)

    @property
    def serving(self) -> bool:
        """Whether any of them answers."""
        return any(worker.serving for worker in self._running.values())

    async def start(self, dns: Iterable[Endpoint], dot: Iterable[Endpoint] = ()) -> Listening:
        """Where all listen, once all do. Raises WorkerError; ``drain`` then ends the others."""
        loop = asyncio.get_running_loop()
        where = loop.create_future()
        where.set_result(_listen_message({"dns": [*dns], "dot": [*dot]}, SharePort.FIRST))
        # All load at once, but the first says what port 0 is.
        self._where = loop.create_future()
        first, *others = (
            self._begin(number, self._where if number else where) for number in range(self._count)
        )
        listening = await first
        self._where.set_result(_listen_message(listening, SharePort.JOIN))
        await asyncio.gather(*others)
        return listening

    def reload(self) -> None:
        """Have each load the policy now."""
        for worker in self._running.values():
            worker.channel.send({"is": "reload"})

    async def drain(self, drain_s: float) -> None:
        """Have each answer what waits, within the time, and take its last report."""
        self._ending.set()
        self._tell_to_drain(drain_s)
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=drain_s + _FAREWELL_S)
        for task in late:
            task.cancel()
        if late:
            log.error("DNS workers that did not end in time, and are made to: %d", len(late))
            await asyncio.wait(late)

    def hurry(self) -> None:
        """End the draining now."""
        self._tell_to_drain(0)

    def _tell_to_drain(self, drain_s: float) -> None:
        for worker in self._running.values():
            worker.channel.send({"is": "drain", "seconds": drain_s})

    def _begin(self, number: int, where: asyncio.Future[Message]) -> asyncio.Future[Listening]:
        """Start one, and start it again whenever it ends; what comes of it is where it listens."""
        loop = asyncio.get_running_loop()
        bound: asyncio.Future[Listening] = loop.create_future()
        task = loop.create_task(self._keep(number, where, bound))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return bound

    async def _keep(
        self, number: int, where: asyncio.Future[Message], bound: asyncio.Future[Listening]
    ) -> None:
        loop = asyncio.get_running_loop()
        back_off_s = self._back_off_s
        while True:
            began_s = loop.time()
            end = await self._run(number, where, bound)
            if self._ending.is_set():
                bound.cancel()
                return
            if not bound.done():
                bound.set_exception(WorkerError(end))
                return
            if loop.time() - began_s > MAX_BACK_OFF_S:
                back_off_s = self._back_off_s
            log.error("%s; DNS worker %d is started again in %g s", end, number, back_off_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(back_off_s):
                    await self._ending.wait()
                    return
            back_off_s = min(2 * back_off_s, MAX_BACK_OFF_S)
            self._metrics.dns_worker_restarts.add()
            where = self._where

    async def _run(
        self, number: int, where: asyncio.Future[Message], bound: asyncio.Future[Listening]
    ) -> str:
        """One life; says how it ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            channel = await open_channel(ours)
            if self._ending.is_set():
                await channel.close()
                return ""
            try:
                process = _spawn(self._command, theirs)
            except OSError as error:
                await channel.close()
                return f"a DNS worker cannot be started: {error.strerror}"
        worker = self._running[number] = _Process(process, channel)
        watching = asyncio.get_running_loop().create_task(worker.watch(self._silence_s))
        problem = ""
        try:
            worker.channel.send(self._first_message)
            where.add_done_callback(worker.tell_where)
            problem = await self._hear(number, worker, bound)
        except ChannelError as error:
            problem = f"a DNS worker sent what cannot be read: {error}"
        finally:
            watching.cancel()
            where.remove_done_callback(worker.tell_where)
            del self._running[number]
            self._tally.ended(number)
            how = await worker.end()
        return problem or f"a DNS worker {how}"

    async def _hear(self, number: int, worker: _Process, bound: asyncio.Future[Listening]) -> str:
        """All that it says; what comes out is why it cannot serve, where it says so."""
        async with contextlib.aclosing(worker.channel.receive()) as messages:
            async for message in messages:
                worker.heard += 1
                match message.get("is"):
                    case "events":
                        for event in read_events(message):
                            self._record(event)
                    case "counts":
                        worker.digest, counts = read_counts(message)
                        self._tally.reported(number, counts)
                    case "ready":
                        worker.serving = True
                        self._is_ready(number, message, bound)
                    case "failed":
                        return str(message.get("problem"))
                    case "done":
                        return ""
        if self._ending.is_set():
            log.error("DNS worker %d ended before its last report", number)
        return ""

    def _is_ready(self, number: int, message: Message, bound: asyncio.Future[Listening]) -> None:
        if bound.done():
            log.info("DNS worker %d serves again", number)
            return
        listening = message.get("listening", {})
        bound.set_result(
            {key: [Endpoint(*at) for at in endpoints] for key, endpoints in listening.items()}
        )

    def _count_in_step(self) -> None:
        digest = self._policy.current.policy.digest
        in_step = [worker.digest == digest for worker in self._running.values() if worker.serving]
        self._metrics.dns_workers.set(sum(in_step), "in_step")
        self._metrics.dns_workers.set(len(in_step) - sum(in_step), "behind")


def _for_one(settings: DnsSettings) -> DnsSettings:
    """What all may do together is divided; transfers are the main process's."""
    rate = -(-settings.rate_limit_per_second // settings.workers)
    return settings.model_copy(
        update={"rate_limit_per_second": rate, "transfers": (), "workers": 0}
    )


def _listen_message(listening: Listening, share: SharePort) -> Message:
    return {"is": "listen", "at": listening, "share_port": share.value}


def _spawn(command: Sequence[str], end: socket.socket) -> subprocess.Popen[bytes]:
    """A process with its end of the channel. Raises OSError."""
    # Ctrl-C at a terminal goes to all of us. What is blocked here is blocked there, until
    # the worker ignores it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return subprocess.Popen(  # noqa: S603 our own interpreter
            [*command, str(end.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(end.fileno(),),
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
