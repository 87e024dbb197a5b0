"""Which events are found."""

import contextlib
import sqlite3

import pytest

from enforcer.audit.query import Filter, query
from enforcer.audit.schema import VERSION, AuditStoreError
from enforcer.audit.store import Store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.db"


@pytest.fixture
def found(path):
    """Stores events, and says which of them a filter finds, by their names."""

    def find(events, **wanted):
        with contextlib.closing(Store(path)) as store:
            store.write(events)
        return [event.name for event in query(path, Filter(**wanted))]

    return find


def test_all_are_found_newest_last(found, event):
    assert found([event(at=2, name="b"), event(at=1, name="a"), event(at=3, name="c")]) == [
        "a",
        "b",
        "c",
    ]


def test_the_limit_keeps_the_newest_of_those_that_fit(found, event):
    events = [event(at=n, name=f"{n}.{'odd' if n % 2 else 'even'}") for n in range(10)]

    assert found(events, name="*.even", limit=2) == ["6.even", "8.even"]


def test_since_counts_the_last_of_a_folded_event(found, event):
    folded = event(at=0, name="folded")._replace(last_time_s=event(at=9).time_s)

    assert found([folded, event(at=1, name="early")], since_s=event(at=5).time_s) == ["folded"]


@pytest.mark.parametrize(
    ("client", "names"),
    [
        ("192.0.2.7", ["v4"]),
        ("::ffff:192.0.2.7", ["v4"]),
        ("192.0.2.0/24", ["v4"]),
        ("192.0.2.9/24", ["v4"]),
        ("2001:DB8:0::7", ["v6"]),
        ("2001:db8::/32", ["v6"]),
        ("::/0", ["v6"]),
        ("198.51.100.1", []),
    ],
)
def test_clients_by_address_or_range(found, event, client, names):
    events = [
        event(name="v4", client="192.0.2.7"),
        event(name="v6", client="2001:db8::7"),
        event(name="unknown", client=""),
        event(name="left out", client="*"),
    ]

    assert found(events, client=client) == names


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("a.example", ["a.example"]),
        ("A.Example.", ["a.example"]),
        ("*.example", ["a.example", "b.a.example"]),
        ("*.A.example", ["b.a.example"]),
        ("example", []),
        ("%.example", []),
        ("_.example", []),
        ("MÜNCHEN.test", ["xn--mnchen-3ya.test"]),
        ("*", ["a.example", "b.a.example", "xn--mnchen-3ya.test", "*", "bad\\032byte"]),
        ("*ample", ["a.example", "b.a.example"]),
        ("b.*.Example.", ["b.a.example"]),
        ("*.MÜNCHEN.test", []),
        ("?.exam*", []),
        ("[ab].exam*", []),
        ("bad\\*", ["bad\\032byte"]),
        ("bad\\032byte", ["bad\\032byte"]),
    ],
)
def test_names_exact_or_with_stars_for_any_characters(found, event, name, names):
    stored = ["a.example", "b.a.example", "xn--mnchen-3ya.test", "*", "bad\\032byte"]
    events = [event(at=n, name=each) for n, each in enumerate(stored)]

    assert found(events, name=name) == names


def test_action_plane_and_rule(found, event):
    events = [
        event(name="a"),
        event(name="b", action="monitor"),
        event(name="c", plane="tls"),
        event(name="d", rule="mine"),
    ]

    assert found(events, action="Monitor") == ["b"]
    assert found([], plane="tls") == ["c"]
    assert found([], rule="mine") == ["d"]


def test_all_conditions_must_be_met(found, event):
    events = [event(name="a.example"), event(name="a.example", client="192.0.2.8")]

    assert found(events, name="a.example", client="192.0.2.8", action="block") == ["a.example"]


def test_what_is_asked_for_is_never_sql(found, event):
    assert found([event(name="a.example")], name="' OR 1=1 --", rule="' OR 1=1 --") == []


@pytest.mark.parametrize(
    ("wanted", "remedy"),
    [
        ({"client": "nobody"}, "write an address such as 192.0.2.1"),
        ({"client": "192.0.2.0/99"}, "or a range"),
        ({"action": "deny"}, "write allow, block, monitor"),
        ({"plane": "quic"}, "write dns, tls"),
        ({"name": "mün chen"}, "correct the name"),
        ({"name": ""}, "write a name, or"),
        ({"client": ""}, "write an address"),
        ({"action": ""}, "write allow, block, monitor"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_at_once(path, wanted, remedy):
    with pytest.raises(ValueError, match=remedy):
        query(path, Filter(**wanted))


def test_no_store_is_told_and_none_is_made(path):
    with pytest.raises(AuditStoreError, match="start the gateway"):
        next(query(path))
    assert not path.exists()


def test_a_store_of_another_version_is_told(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(AuditStoreError, match="use the newer enforcer"):
        next(query(path))

    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
    with pytest.raises(AuditStoreError, match="older than this enforcer"):
        next(query(path))


def test_what_is_not_a_store_is_told(path):
    path.write_bytes(b"no database" * 1000)

    with pytest.raises(AuditStoreError, match="cannot be read"):
        next(query(path))


def test_reading_changes_nothing(path, event):
    with contextlib.closing(Store(path)) as store:
        store.write([event()])
    before = path.read_bytes()

    assert len(list(query(path))) == 1
    assert path.read_bytes() == before
