"""The store's tables and their versions."""

import contextlib
import sqlite3

import pytest

from enforcer.audit import schema
from enforcer.audit.event import AuditEvent


@pytest.fixture
def connection():
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def columns(connection):
    return [row[1] for row in connection.execute("PRAGMA table_info(event)")]


def test_an_empty_store_gets_the_tables(connection):
    schema.migrate(connection)

    assert schema.stored_version(connection) == schema.VERSION
    assert columns(connection) == ["id", *AuditEvent._fields]


def test_migrating_again_changes_nothing(connection):
    schema.migrate(connection)
    connection.execute(
        "INSERT INTO event SELECT 1, 2, 2, '', '', '', '', 0, '', '', '', '', '', '', 1"
    )

    schema.migrate(connection)

    assert connection.execute("SELECT count(*) FROM event").fetchone() == (1,)


def test_each_version_is_reached_from_the_one_before(connection, monkeypatch):
    schema.migrate(connection)
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE event ADD site TEXT",))
    )
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)

    schema.migrate(connection)

    assert columns(connection)[-1] == "site"
    assert schema.stored_version(connection) == schema.VERSION


def test_a_migration_that_fails_leaves_the_store_as_it_was(connection, monkeypatch):
    schema.migrate(connection)
    version = schema.VERSION
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE event ADD site TEXT", "nonsense"))
    )

    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection)

    assert "site" not in columns(connection)
    assert schema.stored_version(connection) == version


def test_a_newer_store_is_refused_with_a_remedy(connection):
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")

    with pytest.raises(schema.AuditStoreError, match="use the newer enforcer") as raised:
        schema.migrate(connection)
    assert raised.value.remedy in str(raised.value)


def test_the_newest_are_found_by_an_index(connection):
    schema.migrate(connection)
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT * FROM event WHERE last_time_s >= 5 ORDER BY last_time_s"
    ).fetchall()

    assert "event_by_time" in plan[0][3]
