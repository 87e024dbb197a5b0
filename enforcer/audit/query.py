"""Which events are asked for, read from the store while the service writes it.

Read-only: this never creates, migrates or locks. Every value is bound, none is
written into SQL.
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

from enforcer.audit.event import AuditEvent
from enforcer.audit.schema import VERSION, AuditStoreError, stored_version
from enforcer.policy.addresses import parse_address
from enforcer.policy.model import Action, Network, Plane
from enforcer.policy.names import fold, parse_host

_COLUMNS = ", ".join(AuditEvent._fields)
# Of GLOB, as sqlite.org/lang_expr.html has it; in brackets they stand for themselves.
_OTHER_WILDCARDS = re.compile(r"[?\[]")


class Filter(NamedTuple):
    """What every event must meet. An empty filter means all; ``limit`` keeps the newest.

    ``client`` is an address or a range. In ``name``, ``*`` stands for any characters,
    dots too. An event is since ``since_s`` when it, or an equal one that was folded into
    it, happened then.
    """

    since_s: float | None = None
    client: str | None = None
    name: str | None = None
    action: str | None = None
    plane: str | None = None
    rule: str | None = None
    limit: int | None = None


_EVERYTHING = Filter()


class _Condition(NamedTuple):
    sql: str
    values: tuple[object, ...]


def query(path: Path, wanted: Filter = _EVERYTHING) -> Iterator[AuditEvent]:
    """The events by their last time, newest last.

    Raises ValueError at once for a filter that means nothing, and AuditStoreError from
    the first step of the iterator.
    """
    conditions = tuple(_conditions(wanted))
    return _read(path, conditions, wanted.limit)


def _read(
    path: Path, conditions: tuple[_Condition, ...], limit: int | None
) -> Iterator[AuditEvent]:
    where = " AND ".join(condition.sql for condition in conditions) or "1"
    values = [value for condition in conditions for value in condition.values]
    source = "event"
    if limit is not None:
        # The newest are taken off the index; what is left to turn round is short.
        source = f"(SELECT * FROM event WHERE {where} ORDER BY last_time_s DESC, id DESC LIMIT ?)"  # noqa: S608 constants
        where = "1"
        values.append(limit)
    sql = f"SELECT {_COLUMNS} FROM {source} WHERE {where} ORDER BY last_time_s, id"  # noqa: S608 the same
    try:
        with contextlib.closing(_open(path)) as connection:
            for row in connection.execute(sql, values):
                yield AuditEvent._make(row)
    except (sqlite3.Error, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise AuditStoreError(
            f"the audit store {path} cannot be read: {reason}",
            "read it as the user that the gateway runs as",
        ) from None


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise AuditStoreError(
            f"there is no audit store at {path}",
            "start the gateway, or name the settings that it runs with",
        )
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        connection.create_function("in_network", 2, _in_network, deterministic=True)
        _check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    if stored_version(connection) < VERSION:
        raise AuditStoreError(
            f"the audit store {path} is older than this enforcer",
            "start the gateway, which brings it up to date",
        )


def _conditions(wanted: Filter) -> Iterator[_Condition]:
    if wanted.since_s is not None:
        yield _Condition("last_time_s >= ?", (wanted.since_s,))
    if wanted.client is not None:
        yield _client(wanted.client)
    if wanted.name is not None:
        yield _name(wanted.name)
    if wanted.action is not None:
        yield _Condition("action = ?", (_member(Action, "action", wanted.action),))
    if wanted.plane is not None:
        yield _Condition("plane = ?", (_member(Plane, "plane", wanted.plane),))
    if wanted.rule is not None:
        yield _Condition("rule = ?", (wanted.rule,))


def _client(text: str) -> _Condition:
    try:
        if "/" in text:
            return _Condition("in_network(client, ?)", (str(ip_network(text, strict=False)),))
        return _Condition("client = ?", (str(parse_address(text)),))
    except ValueError:
        raise ValueError(
            f"{text!r} is not a client; write an address such as 192.0.2.1, or a range "
            "such as 192.0.2.0/24"
        ) from None


def _name(text: str) -> _Condition:
    # What is not a host name can still be on record, in escapes: see policy.names.
    name = fold(text.strip()) if text.isascii() else parse_host(text, wildcard=True)
    if not name:
        raise ValueError("the name is empty; write a name, or *.suffix")
    if "*" not in name:
        return _Condition("name = ?", (name,))
    return _Condition("name GLOB ?", (_OTHER_WILDCARDS.sub(r"[\g<0>]", name),))


def _member(values: type[StrEnum], what: str, text: str) -> str:
    try:
        return values(text.lower()).value
    except ValueError:
        raise ValueError(f"{text!r} is not known as {what}; write {', '.join(values)}") from None


def _in_network(client: str, network: str) -> bool:
    try:
        return parse_address(client) in _network(network)
    except ValueError:
        # No client, or one that was left out of a coarse record.
        return False


@lru_cache(maxsize=1)
def _network(text: str) -> Network:
    return ip_network(text)
