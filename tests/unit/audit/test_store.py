"""The SQLite store, written."""

import contextlib
import sqlite3
import stat

import pytest

from enforcer.audit.query import query
from enforcer.audit.schema import AuditStoreError
from enforcer.audit.store import Store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "audit.db"


@pytest.fixture
def store(path):
    store = Store(path)
    yield store
    store.close()


def test_what_is_written_is_read_back(store, path, event):
    events = [event(), event(at=1, address="2001:db8::1", port=443, occurrences=4)]

    store.write(events)

    assert list(query(path)) == events


def test_a_reader_does_not_wait_for_the_writer_to_close(store, path, event):
    store.write([event()])
    reader = query(path)
    next(reader)

    store.write([event(at=1)])

    assert len(list(query(path))) == 2
    reader.close()


def test_only_the_owner_may_read_it(store, path, event):
    store.write([event()])

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes == {"audit.db": 0o600, "audit.db-wal": 0o600, "audit.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_each_flush_is_synced_to_the_disk(store):
    connection = store._connection

    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_batch_is_stored_whole_or_not_at_all(store, path, event):
    with pytest.raises(AuditStoreError):
        store.write([event(), event()._replace(rule=None)])

    assert list(query(path)) == []
    store.write([event()])
    assert len(list(query(path))) == 1


def test_text_that_is_not_utf_8_is_stored_in_escapes(store, path, event):
    store.write([event(name="\udc80.example", reason="\ud83d")])

    (found,) = query(path)

    assert (found.name, found.reason) == ("\\udc80.example", "\\ud83d")


def test_a_removed_file_is_made_anew(store, path, event):
    store.write([event()])
    path.unlink()

    store.write([event(at=1)])

    assert list(query(path)) == [event(at=1)]


def test_a_replaced_file_is_written_instead_of_the_old_one(store, path, event):
    path.rename(path.with_name("old.db"))
    Store(path).close()

    store.write([event()])

    assert list(query(path)) == [event()]


def test_it_opens_what_an_earlier_run_left(store, path, event):
    store.write([event()])
    store.close()

    with contextlib.closing(Store(path)) as again:
        again.write([event(at=1)])

    assert list(query(path)) == [event(), event(at=1)]


def test_closing_twice_is_closing_once(store):
    store.close()
    store.close()


def test_a_path_that_cannot_be_used_is_known_at_once(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(AuditStoreError, match=r"audit\.db cannot be written.*set audit\.path"):
        Store(tmp_path / "file" / "audit.db")


def test_a_directory_is_not_a_store(tmp_path):
    with pytest.raises(AuditStoreError, match="Is a directory"):
        Store(tmp_path)


def test_what_is_not_a_database_is_left_alone(path):
    path.parent.mkdir()
    path.write_bytes(b"not a database, but something of value" * 100)

    with pytest.raises(AuditStoreError, match="move the file away"):
        Store(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_held_lock_is_told_and_the_next_write_goes_through(store, path, event):
    store._connection.execute("PRAGMA busy_timeout = 1")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(AuditStoreError, match="end the program that holds its lock"):
            store.write([event()])
        other.rollback()

    store.write([event()])

    assert list(query(path)) == [event()]
