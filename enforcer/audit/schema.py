"""The store's tables and their versions, kept in ``PRAGMA user_version``."""

import sqlite3

# What is done to reach version 1, 2, ... A step that has shipped is never edited.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE event (
            id INTEGER PRIMARY KEY,
            time_s REAL NOT NULL,
            last_time_s REAL NOT NULL,
            plane TEXT NOT NULL,
            client TEXT NOT NULL,
            name TEXT NOT NULL,
            address TEXT NOT NULL,
            port INTEGER,
            action TEXT NOT NULL,
            rule TEXT NOT NULL,
            reason TEXT NOT NULL,
            mode TEXT NOT NULL,
            source TEXT NOT NULL,
            policy TEXT NOT NULL,
            occurrences INTEGER NOT NULL
        )
        """,
        "CREATE INDEX event_by_time ON event (last_time_s)",
    ),
)
VERSION = len(MIGRATIONS)


class AuditStoreError(Exception):
    """The store cannot be used: what is wrong, and what would be right."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}; {remedy}")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to VERSION, all or nothing. The connection is in autocommit."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[stored_version(connection) :]:
            for statement in step:
                connection.execute(statement)
        # A pragma takes no parameter; this is a constant of ours.
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def stored_version(connection: sqlite3.Connection) -> int:
    """Raises AuditStoreError for a store that this version does not know."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise AuditStoreError(
            f"the audit store has schema {version}, and this enforcer knows {VERSION}",
            "use the newer enforcer that wrote it, or another audit.path",
        )
    return version
