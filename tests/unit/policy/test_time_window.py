"""Times of the week: what is inside, over midnight and through summer time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.policy.time_window import DAYS, MINUTES_PER_DAY, TimeWindow

BERLIN = ZoneInfo("Europe/Berlin")
EVERY_DAY = frozenset(range(7))


def at(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def window(start="00:00", end="24:00", days=EVERY_DAY, zone=UTC):
    def minutes(text):
        hours, _, rest = text.partition(":")
        return int(hours) * 60 + int(rest)

    return TimeWindow(frozenset(days), minutes(start), minutes(end), zone)


def test_the_start_is_inside_and_the_end_is_not():
    office = window("08:00", "18:00")
    held = [office.holds(at(f"2026-11-24T{clock}")) for clock in ("07:59:59", "08:00", "17:59:59")]
    assert held == [False, True, True]
    assert not office.holds(at("2026-11-24T18:00"))


def test_only_its_days_are_inside():
    """2026-11-24 is a Tuesday."""
    tuesdays = window(days=[DAYS.index("tue")])
    assert tuesdays.holds(at("2026-11-24T00:00"))
    assert tuesdays.holds(at("2026-11-24T23:59:59"))
    assert not tuesdays.holds(at("2026-11-23T23:59:59"))
    assert not tuesdays.holds(at("2026-11-25T00:00"))


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins():
    tuesday_night = window("22:00", "06:00", days=[1])
    assert tuesday_night.holds(at("2026-11-24T22:00"))
    assert tuesday_night.holds(at("2026-11-25T05:59"))
    assert not tuesday_night.holds(at("2026-11-25T06:00"))
    assert not tuesday_night.holds(at("2026-11-24T05:00"))
    sunday_night = window("22:00", "06:00", days=[6])
    assert sunday_night.holds(at("2026-11-23T05:59"))


@pytest.mark.parametrize("day", ["2026-01-15", "2026-07-15"])
def test_eight_in_berlin_is_eight_in_berlin_in_winter_and_in_summer(day):
    office = window("08:00", "18:00", zone=BERLIN)
    assert office.holds(at(f"{day}T08:00", BERLIN))
    assert not office.holds(at(f"{day}T07:59", BERLIN))


def test_midnight_at_both_ends_is_the_whole_day():
    assert window().holds(at("2026-11-24T23:59"))
    until_midnight = window("22:00", "00:00", days=[1])
    assert until_midnight.holds(at("2026-11-24T23:59"))
    assert not until_midnight.holds(at("2026-11-25T00:00"))


@pytest.mark.parametrize(
    ("left", "right", "meet"),
    [
        (window("08:00", "12:00"), window("12:00", "18:00"), False),
        (window("08:00", "12:01"), window("12:00", "18:00"), True),
        (window(days=[0]), window(days=[1]), False),
        (window("22:00", "06:00", days=[0]), window(days=[1]), True),
        (window("22:00", "06:00", days=[0]), window("06:00", days=[1]), False),
        (window("22:00", "06:00", days=[6]), window("00:00", "01:00", days=[0]), True),
        (window(days=[0]), window(days=[3], zone=BERLIN), True),
    ],
)
def test_two_windows_meet_when_some_time_is_in_both(left, right, meet):
    assert left.meets(right) is right.meets(left) is meet


windows = st.builds(
    TimeWindow,
    days=st.frozensets(st.integers(0, 6), min_size=1),
    start_min=st.integers(0, 23).map(lambda hour: hour * 60),
    end_min=st.integers(1, 24).map(lambda hour: hour * 60),
    zone=st.just(UTC),
).filter(lambda each: each.start_min != each.end_min)


@given(windows, windows)
def test_windows_that_meet_have_an_hour_in_common(left, right):
    monday_s = at("2026-11-23T00:00")
    hours = [monday_s + hour * 3600 for hour in range(7 * MINUTES_PER_DAY // 60)]
    assert left.meets(right) is any(left.holds(hour) and right.holds(hour) for hour in hours)


@given(windows)
def test_a_window_holds_when_it_begins(window):
    assert window.holds(window.begins_s())
    assert not window.holds(window.begins_s() - 1) or window.start_min == 0


def test_a_window_reads_as_it_is_written():
    assert str(window("08:00", "18:30", days=[0, 4], zone=BERLIN)) == (
        "mon,fri 08:00-18:30 Europe/Berlin"
    )
