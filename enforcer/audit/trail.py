"""What planes call: events folded in memory, stored and logged by one writer thread.

``record`` takes a lock that the writer holds for one assignment, and nothing else, so
it never waits for a disk. SIGTERM loses nothing (``close``); SIGKILL loses at most
one flush interval.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from enforcer.audit.event import AuditEvent
from enforcer.audit.window import Window
from enforcer.metrics import Metrics

_log = logging.getLogger(__name__)


class EventStore(Protocol):
    """What the trail needs of a store: all of a batch is stored, or an exception says why not."""

    def write(self, events: Iterable[AuditEvent]) -> None: ...

    def close(self) -> None: ...


class Trail:
    """Owns the store from here on. ``log`` is called once per folded event, in the thread.

    ``build_window`` gives the window of each interval, and so its bounds.
    """

    def __init__(
        self,
        store: EventStore,
        log: Callable[[AuditEvent], None],
        metrics: Metrics,
        flush_interval_s: float,
        build_window: Callable[[], Window] = Window,
    ) -> None:
        self._store = store
        self._log_event = log
        self._metrics = metrics
        self._flush_interval_s = flush_interval_s
        self._recorded = metrics.audit_events.cell()
        self._sources: list[Callable[[], Iterable[AuditEvent]]] = []
        self._lock = threading.Lock()
        self._build_window = build_window
        self._window = build_window()
        # What a failing store has not taken yet; the writer's alone.
        self._unstored = Window()
        self._failing = False
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write, name="audit-writer", daemon=True)
        self._writer.start()

    def record(self, event: AuditEvent) -> None:
        with self._lock:
            self._window.add(event)
            self._recorded.value += event.occurrences

    def gather(self, source: Callable[[], Iterable[AuditEvent]]) -> None:
        """Ask this, too, at each flush: who notes events by itself to save a call for each."""
        self._sources.append(source)

    def close(self) -> None:
        """Store and log what is left. Nothing may be recorded after."""
        self._closing.set()
        self._writer.join()

    def _write(self) -> None:
        while not self._closing.wait(self._flush_interval_s):
            self._flush()
        self._flush()
        if self._unstored.occurrences:
            _log.error("%d audit events are only in the log", self._unstored.occurrences)
        self._store.close()

    def _flush(self) -> None:
        self._ask_sources()
        with self._lock:
            window, self._window = self._window, self._build_window()
        self._keep(window)
        self._put_in_store()
        # After the store, and whether or not it took them: what is tried again there is
        # not new here.
        self._put_on_log(window)

    def _ask_sources(self) -> None:
        for source in self._sources:
            try:
                for event in source():
                    self.record(event)
            except Exception:  # noqa: BLE001 the thread must live, whatever a source met
                _log.exception("audit events of one source are lost")

    def _keep(self, window: Window) -> None:
        """Put what came now with what the store has not taken, within the same bound."""
        coarsened = window.coarsened
        if len(self._unstored):
            before = self._unstored.coarsened
            self._unstored.merge(window)
            coarsened += self._unstored.coarsened - before
        else:
            self._unstored = window
        if coarsened:
            self._metrics.audit_events_coarsened.add(by=coarsened)

    def _put_in_store(self) -> None:
        if not len(self._unstored):
            return
        try:
            self._store.write(self._unstored)
        except Exception as error:  # noqa: BLE001 the thread must live, whatever the store met
            self._metrics.audit_write_errors.add()
            if not self._failing:
                _log.error("audit events are kept in memory and tried again: %s", error)
            self._failing = True
            return
        if self._failing:
            _log.warning("the audit store takes events again")
        self._failing = False
        self._metrics.audit_events_stored.add(by=self._unstored.occurrences)
        self._unstored = Window()

    def _put_on_log(self, window: Window) -> None:
        for event in window:
            try:
                self._log_event(event)
            except Exception:  # noqa: BLE001 as above
                # Nobody reads the log, or it is closed; there is no third place to say so.
                self._metrics.audit_log_errors.add(by=event.occurrences)
