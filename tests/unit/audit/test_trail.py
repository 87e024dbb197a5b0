"""What planes call: nothing is lost while the store fails, and nothing grows."""

import threading

import pytest

from enforcer.audit.trail import Trail
from enforcer.audit.window import MAX_CLIENTS, MAX_DETAILED
from enforcer.metrics import Metrics

NEVER_S = 3600.0


class MemoryStore:
    """A store whose disk can fail."""

    def __init__(self):
        self.events = []
        self.failure = None
        self.closed = False
        self.written = threading.Event()

    def write(self, events):
        batch = list(events)
        self.written.set()
        if self.failure:
            raise self.failure
        self.events += batch

    def close(self):
        self.closed = True


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def logged():
    return []


@pytest.fixture
def trail(store, logged, metrics):
    trail = Trail(store, logged.append, metrics, flush_interval_s=NEVER_S)
    yield trail
    trail.close()


def flush(trail):
    """What the writer's thread does when an interval is over."""
    trail._flush()


def value(series):
    return series.cell().value


def test_nothing_that_was_recorded_is_lost_at_the_end(trail, store, logged, event):
    events = [event(client=f"192.0.2.{n}") for n in range(50)]
    for each in events:
        trail.record(each)

    trail.close()

    assert store.events == logged == events
    assert store.closed


def test_events_are_stored_within_the_flush_interval(store, logged, metrics, event):
    trail = Trail(store, logged.append, metrics, flush_interval_s=0.01)
    trail.record(event())

    assert store.written.wait(timeout=5)
    trail.close()
    assert store.events == [event()]


def test_equal_events_of_one_interval_are_one_row(trail, store, metrics, event):
    for at in range(3):
        trail.record(event(at=at))

    flush(trail)

    (row,) = store.events
    assert row.occurrences == 3
    assert value(metrics.audit_events) == value(metrics.audit_events_stored) == 3


def test_an_interval_without_events_writes_nothing(trail, store):
    flush(trail)

    assert not store.written.is_set()


def test_a_failing_store_is_tried_again_with_all_of_it(trail, store, logged, metrics, event):
    store.failure = OSError("disk full")
    trail.record(event(name="first"))
    flush(trail)
    trail.record(event(name="second"))
    flush(trail)
    assert store.events == []

    store.failure = None
    flush(trail)

    assert [row.name for row in store.events] == ["first", "second"]
    assert [row.name for row in logged] == ["first", "second"]
    assert value(metrics.audit_write_errors) == 2
    assert value(metrics.audit_events_stored) == 2


def test_the_log_has_what_the_store_could_not_take(trail, store, logged, event, caplog):
    store.failure = OSError("disk full")
    trail.record(event())

    trail.close()

    assert logged == [event()]
    assert "1 audit events are only in the log" in caplog.text


def test_a_failing_store_is_told_once_and_so_is_its_recovery(trail, store, event, caplog):
    store.failure = OSError("disk full")
    for at in range(3):
        trail.record(event(at=at))
        flush(trail)
    store.failure = None
    flush(trail)

    assert caplog.text.count("disk full") == 1
    assert caplog.text.count("takes events again") == 1


def test_a_failing_store_and_a_flood_take_bounded_memory(trail, store, metrics, event):
    store.failure = OSError("disk full")
    count = 0
    for round_ in range(3):
        for n in range(MAX_DETAILED // 2):
            trail.record(event(name=f"{round_}-{n}.example"))
            count += 1
        flush(trail)
    store.failure = None
    flush(trail)

    assert len(store.events) <= MAX_DETAILED + MAX_CLIENTS + 1
    assert sum(row.occurrences for row in store.events) == count
    assert value(metrics.audit_events_coarsened) == count - MAX_DETAILED


def test_a_log_that_cannot_be_written_loses_nothing_in_the_store(store, metrics, event):
    def broken(_event):
        raise BrokenPipeError

    trail = Trail(store, broken, metrics, flush_interval_s=NEVER_S)
    trail.record(event())
    trail.record(event())
    trail.close()

    assert store.events[0].occurrences == 2
    assert value(metrics.audit_log_errors) == 2


def test_the_thread_lives_whatever_store_and_log_meet(metrics, event):
    store = MemoryStore()
    store.failure = RuntimeError("a bug")

    def broken(_event):
        raise RuntimeError("another")

    trail = Trail(store, broken, metrics, flush_interval_s=0.01)
    trail.record(event())
    assert store.written.wait(timeout=5)
    store.failure = None
    trail.record(event(name="later"))
    trail.close()

    assert [row.name for row in store.events] == ["connect.ngrok-agent.com", "later"]


def test_many_threads_may_record(trail, store, event):
    def work():
        for _ in range(500):
            trail.record(event())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trail.close()

    assert sum(row.occurrences for row in store.events) == 2000


def test_closing_twice_is_closing_once(trail, store, event):
    trail.record(event())
    trail.close()
    trail.close()

    assert store.events == [event()]


def test_who_notes_events_by_itself_is_asked_at_each_flush(trail, store, logged, metrics, event):
    noted = [[event(name="first", occurrences=3)], [], [event(name="second")]]
    trail.gather(lambda: noted.pop(0))
    trail.record(event(name="recorded"))

    flush(trail)
    assert [(row.name, row.occurrences) for row in store.events] == [("recorded", 1), ("first", 3)]
    flush(trail)
    flush(trail)
    noted.append([event(name="last")])
    trail.close()

    assert [row.name for row in store.events] == ["recorded", "first", "second", "last"]
    assert logged == store.events
    assert value(metrics.audit_events) == value(metrics.audit_events_stored) == 6


def test_what_was_noted_and_recorded_alike_is_one_row(trail, store, event):
    trail.record(event(at=1))
    trail.gather(lambda: [event(at=2, occurrences=4)])

    flush(trail)

    (row,) = store.events
    assert row.occurrences == 5


def test_a_source_with_a_bug_harms_no_other(trail, store, event, caplog):
    def broken():
        yield event(name="before")
        raise RuntimeError("a bug")

    trail.gather(broken)
    trail.gather(lambda: [event(name="of another")])
    trail.record(event(name="recorded"))

    flush(trail)

    assert [row.name for row in store.events] == ["recorded", "before", "of another"]
    assert "audit events of one source are lost" in caplog.text
    trail._sources.clear()
