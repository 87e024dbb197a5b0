"""The SQLite store, written: one writer, a transaction per batch.

WAL, so that readers and the writer do not wait for each other, and synchronous=FULL:
one fsync per flush, in the writer's thread, and neither SIGKILL nor a power cut loses
what was flushed. (NORMAL would lose to a power cut what came after the last checkpoint.)
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from enforcer.audit.event import AuditEvent
from enforcer.audit.schema import AuditStoreError, migrate
from enforcer.audit.text import well_formed

# A backup or an sqlite3 shell may hold the lock for a moment.
_BUSY_TIMEOUT_S = 2.0
_COLUMNS = AuditEvent._fields
_INSERT = (
    f"INSERT INTO event ({', '.join(_COLUMNS)}) "  # noqa: S608 names of our own
    f"VALUES ({', '.join('?' * len(_COLUMNS))})"
)


class Store:
    """Opened at once, so that a path that cannot be used is known at the start.

    Used by one thread at a time. Raises AuditStoreError from every method; after one
    the next write opens the file anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._file_id: tuple[int, int] | None = None
        self._open()

    def write(self, events: Iterable[AuditEvent]) -> None:
        """All of them or none."""
        try:
            if self._replaced():
                self.close()
            connection = self._connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, map(_row, events))
            connection.commit()
        except (sqlite3.Error, OSError) as error:
            self._fail(error)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            # Also rolls back what was not committed.
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite would create it by the umask; its -wal and -shm take after it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = connection = sqlite3.connect(
                self.path,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection)
            self._file_id = self._present_file_id()
        except AuditStoreError:
            self.close()
            raise
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
        return connection

    def _replaced(self) -> bool:
        """SQLite does not notice that its file was removed, and goes on writing into it."""
        return self._file_id != self._present_file_id()

    def _present_file_id(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _fail(self, error: sqlite3.Error | OSError) -> NoReturn:
        self.close()
        raise AuditStoreError(
            f"the audit store {self.path} cannot be written: {_reason(error)}", _remedy(error)
        ) from None


def _row(event: AuditEvent) -> tuple[object, ...]:
    return tuple(well_formed(value) if isinstance(value, str) else value for value in event)


def _reason(error: sqlite3.Error | OSError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _remedy(error: sqlite3.Error | OSError) -> str:
    match getattr(error, "sqlite_errorname", ""):
        case "SQLITE_FULL":
            return "make room on the disk"
        case "SQLITE_BUSY":
            return "end the program that holds its lock"
        case "SQLITE_NOTADB" | "SQLITE_CORRUPT":
            return "move the file away, or set audit.path to another"
        case _:
            return "set audit.path to a file in a folder that this user may write"
