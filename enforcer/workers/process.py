"""One DNS worker: ``python -m enforcer.workers.process FD``, which the pool starts.

It serves on ports that it shares with the other workers, reloads the policy by itself,
and reports what it recorded and counted. It has no store, no pages and no signals: all
that it does is told and asked over the channel at FD, and where that ends, it ends too.

    told    start, listen, then reload any number of times, and drain
    says    ready or failed, then events, counts and alive, and done
"""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

from enforcer.audit.event import AuditEvent
from enforcer.audit.sinks import configure_logging
from enforcer.audit.trail import Trail
from enforcer.audit.window import MAX_CLIENTS, MAX_DETAILED, Window
from enforcer.dns.serving.sockets import SharePort
from enforcer.dns_plane import DnsPlane, ListenError
from enforcer.garbage import make_collections_rare
from enforcer.metrics import Metrics
from enforcer.policy.admit import admit_policy
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.source import PolicyError
from enforcer.reload import PolicyReloader
from enforcer.settings.dns import DnsSettings
from enforcer.settings.endpoint import Endpoint
from enforcer.workers.channel import Channel, ChannelError, Message, frame, open_channel
from enforcer.workers.report import counts_message, events_messages

log = logging.getLogger(__name__)

REPORTS_PER_INTERVAL: Final = 10
MIN_REPORT_S: Final = 0.02
# When the main process is gone: what is under way gets so long, and then nobody is served.
ORPHAN_DRAIN_S: Final = 0.5
# What was said last may take so long to be read.
_FAREWELL_S: Final = 2.0


class Detail:
    """How many different events may go into each report, so that so many are in an interval.

    What one report does not use is there for the next ones: a burst goes out as it is.
    """

    def __init__(self, per_interval: int = MAX_DETAILED) -> None:
        self._most = per_interval
        self._left = per_interval
        self._used: Window | None = None

    def build_window(self) -> Window:
        if self._used is not None:
            self._left -= len(self._used)
        self._left = min(max(self._left, 0) + self._most // REPORTS_PER_INTERVAL, self._most)
        self._used = Window(self._left, MAX_CLIENTS // REPORTS_PER_INTERVAL)
        return self._used


class EventSender:
    """The store of a worker's trail: the main process. ``write`` runs in the trail's thread."""

    def __init__(self, channel: Channel, loop: asyncio.AbstractEventLoop) -> None:
        self._channel = channel
        self._loop = loop
        # What is left at the end goes, whatever waits before it.
        self.is_ending = False

    def write(self, events: Iterable[AuditEvent]) -> None:
        """Raises ChannelError when the main process does not keep up."""
        if self._channel.congested and not self.is_ending:
            raise ChannelError("the main process is slow to take them")
        for message in events_messages(events):
            self._loop.call_soon_threadsafe(self._channel.send_framed, frame(message))

    def close(self) -> None:
        """Nothing is held here."""


class Worker:
    """Built from the first message; ``run`` until the last."""

    def __init__(self, channel: Channel, start: Message, policy: PolicyHolder) -> None:
        settings = DnsSettings.model_validate(start["dns"])
        self._channel = channel
        self._policy = policy
        self._metrics = Metrics()
        self._interval_s = max(start["flush_interval_s"] / REPORTS_PER_INTERVAL, MIN_REPORT_S)
        self._sender = EventSender(channel, asyncio.get_running_loop())
        self._trail = Trail(
            self._sender, _log_nothing, self._metrics, self._interval_s, Detail().build_window
        )
        self._reloader = PolicyReloader(policy, _policy_path(start), self._metrics, time.time)
        self._plane = DnsPlane(
            settings,
            settings.upstreams,
            policy,
            self._trail.record,
            self._metrics,
            time.time,
            cookie_secret=bytes.fromhex(start["cookie_secret"]),
        )
        self._trail.gather(self._plane.drain_events)
        self._reporting: asyncio.Task[None] | None = None
        self._reported: Message = {}

    async def run(self, messages: AsyncIterator[Message]) -> None:
        """Do as told until the end, or until nobody is there to tell. Raises ListenError."""
        drain_s = await self._obey(messages)
        await self._drain(drain_s, messages)
        if self._reporting:
            self._reporting.cancel()
        await self._reloader.stop()

    async def _obey(self, messages: AsyncIterator[Message]) -> float:
        """How long to drain."""
        async for message in messages:
            match message["is"]:
                case "listen":
                    await self._listen(message)
                case "reload":
                    self._reloader.ask()
                case "drain":
                    return float(message["seconds"])
        log.error("the main process is gone, and with it what was not stored yet")
        return ORPHAN_DRAIN_S

    async def _listen(self, message: Message) -> None:
        where = {key: [Endpoint(*at) for at in listed] for key, listed in message["at"].items()}
        listening = await self._plane.listen(**where, share=SharePort(message["share_port"]))
        self._report_counts()
        self._channel.send({"is": "ready", "listening": listening})
        make_collections_rare()
        self._reloader.start()
        self._reporting = asyncio.get_running_loop().create_task(self._keep_reporting())

    async def _drain(self, drain_s: float, messages: AsyncIterator[Message]) -> None:
        """Whatever else comes, a message or the end, means now."""
        loop = asyncio.get_running_loop()
        draining = loop.create_task(self._plane.drain(drain_s))
        hurry = loop.create_task(_next(messages))
        wait_for = (draining,) if drain_s <= ORPHAN_DRAIN_S else (draining, hurry)
        await asyncio.wait(wait_for, return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        hurry.cancel()
        await asyncio.wait((draining, hurry))
        # Whatever came of it: what is answered from here on would not be on record.
        await self._plane.drain(0)

    async def finish(self) -> None:
        """The last report."""
        self._sender.is_ending = True
        await asyncio.to_thread(self._trail.close)
        self._report_counts()
        self._channel.send({"is": "done"})

    async def _keep_reporting(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            self._report_counts()

    def _report_counts(self) -> None:
        """Also says that this loop turns: who is silent for long is taken for dead."""
        counts = counts_message(self._metrics, self._policy.current.policy.digest)
        self._channel.send(counts if counts != self._reported else {"is": "alive"})
        self._reported = counts


async def _next(messages: AsyncIterator[Message]) -> Message | None:
    return await anext(messages, None)


def _log_nothing(_event: AuditEvent) -> None:
    """The main process logs what it stores."""


def _policy_path(start: Message) -> Path | None:
    """None for the policy that ships."""
    return Path(start["policy"]) if start["policy"] else None


async def serve(end: socket.socket) -> None:
    """One worker's life, with the main process at the other end."""
    channel = await open_channel(end)
    messages = channel.receive()
    start = await _next(messages)
    if start is not None:
        await _live(channel, start, messages)
    await channel.close(_FAREWELL_S)


async def _live(channel: Channel, start: Message, messages: AsyncIterator[Message]) -> None:
    try:
        policy = PolicyHolder(await asyncio.to_thread(admit_policy, _policy_path(start)))
    except PolicyError as error:
        channel.send({"is": "failed", "problem": str(error)})
        return
    worker = Worker(channel, start, policy)
    try:
        await worker.run(messages)
    except ListenError as error:
        channel.send({"is": "failed", "problem": str(error)})
    finally:
        await worker.finish()


def main() -> None:
    """Run as a program. Signals go to the main process, which says what they mean here."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    configure_logging()
    # The main process says the same of its own policy.
    logging.getLogger("enforcer.reload").setLevel(logging.ERROR)
    import uvloop  # noqa: PLC0415 tests run the rest on either loop

    try:
        uvloop.run(serve(socket.socket(fileno=int(sys.argv[1]))))
    except Exception:
        log.exception("a DNS worker ends by a fault of ours")
        sys.exit(1)


if __name__ == "__main__":
    main()
