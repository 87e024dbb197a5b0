"""The words of a command line, as a question to the store."""

import contextlib

import pytest

from enforcer.audit.listing import explain_nothing, list_events, parse_since
from enforcer.audit.schema import AuditStoreError
from enforcer.audit.store import Store

NOW_S = 1_795_521_600.0  # 2026-11-24 12:00:00 UTC


@pytest.fixture
def store(tmp_path):
    with contextlib.closing(Store(tmp_path / "audit.db")) as store:
        yield store


@pytest.mark.parametrize(
    ("text", "seconds_ago"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1h", 3600),
        (" 2H ", 7200),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("2026-11-24T11:59:00Z", 60),
        ("2026-11-24T12:59:00+01:00", 60),
        ("20261124T115900Z", 60),
    ],
)
def test_since_is_ago_or_a_time(text, seconds_ago):
    assert parse_since(text, NOW_S) == NOW_S - seconds_ago


def test_since_before_every_clock_means_all():
    assert parse_since("999999999w", NOW_S) == 0


@pytest.mark.parametrize("text", ["yesterday", "1", "h", "1y", "-1h", "1h30m", "\u0661h", "1.5h"])
def test_what_is_no_time_is_refused_with_examples(text):
    with pytest.raises(ValueError, match="write 30m, 1h or 7d"):
        parse_since(text, NOW_S)


def test_a_time_without_a_zone_is_refused_with_the_zone_in_place():
    with pytest.raises(ValueError, match="write 2026-11-24T10:00:00Z for UTC"):
        parse_since("2026-11-24T10:00:00", NOW_S)


def test_all_words_together(store, event):
    store.write([event(at=-60), event(at=-7200), event(at=-60, client="198.51.100.1")])

    listed = list_events(
        store.path,
        now_s=NOW_S,
        since="1h",
        client="192.0.2.0/24",
        name="*.ngrok-agent.com",
        action="block",
        plane="dns",
        rule="ngrok-connect",
        limit=5,
    )

    assert list(listed) == [event(at=-60)]


def test_without_words_everything_is_listed(store, event):
    store.write([event(), event(at=1)])

    assert len(list(list_events(store.path, now_s=NOW_S))) == 2


@pytest.mark.parametrize("word", ["since", "client", "name", "action", "plane"])
def test_a_word_that_is_empty_is_refused(tmp_path, word):
    with pytest.raises(ValueError, match="write "):
        list_events(tmp_path / "none.db", now_s=NOW_S, **{word: ""})


def test_words_that_mean_nothing_are_refused_before_the_store_is_read(tmp_path):
    with pytest.raises(ValueError, match="not known as action"):
        list_events(tmp_path / "none.db", now_s=NOW_S, action="deny")


def test_nothing_in_an_empty_store_is_explained_by_what_is_recorded(store):
    assert "plain allows are not recorded" in explain_nothing(store.path, now_s=NOW_S)


def test_nothing_that_fits_is_explained_by_what_there_is(store, event):
    store.write([event()])

    said = explain_nothing(store.path, now_s=NOW_S)

    assert "2026-11-24T12:00:00.000Z" in said
    assert "fewer options" in said
    assert "written within a second, or what audit.flush_interval_ms says" in said


def test_nothing_since_a_time_to_come_is_no_wonder(store, event):
    store.write([event()])

    said = explain_nothing(store.path, now_s=NOW_S, since="2026-11-24T12:00:01Z")

    assert said.endswith("2026-11-24T12:00:01Z is in the future")


def test_nothing_from_no_store_is_an_error(tmp_path):
    with pytest.raises(AuditStoreError, match="there is no audit store"):
        explain_nothing(tmp_path / "none.db", now_s=NOW_S)
