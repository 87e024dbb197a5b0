"""Times of the week at which a rule holds: days, from, to, on the clocks of one place.

Wall-clock times, so that 08:00 stays 08:00 through the change to summer time. The zone
is found at load; nothing here reads a clock.
"""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum

MINUTES_PER_DAY = 24 * 60


class Day(StrEnum):
    """In the order of datetime.weekday: Monday is 0."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


DAYS = tuple(Day)
_WEEK = len(DAYS) * MINUTES_PER_DAY


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """From ``start_min`` on, before ``end_min``: minutes after midnight, ``end_min`` up to 1440.

    ``days`` are the days on which it begins, 0 is Monday. One that ends no later than it
    starts goes on past midnight, into the next day.
    """

    days: frozenset[int]
    start_min: int
    end_min: int
    zone: tzinfo

    def holds(self, time_s: float) -> bool:
        """Whether ``time_s``, in seconds since the epoch, is inside."""
        local = datetime.fromtimestamp(time_s, self.zone)
        day, minute = local.weekday(), local.hour * 60 + local.minute
        if self.start_min < self.end_min:
            return day in self.days and self.start_min <= minute < self.end_min
        if minute >= self.start_min:
            return day in self.days
        return minute < self.end_min and (day - 1) % len(DAYS) in self.days

    def begins_s(self) -> float:
        """Some time at which it begins, in seconds since the epoch."""
        # 1970-01-05 is a Monday.
        day = datetime(1970, 1, 5 + min(self.days), tzinfo=self.zone)
        return day.replace(hour=self.start_min // 60, minute=self.start_min % 60).timestamp()

    def meets(self, other: "TimeWindow") -> bool:
        """Whether some time is in both. On clocks of two zones: always, to be safe."""
        if self.zone != other.zone:
            return True
        return any(
            (begin - other_begin) % _WEEK < other._minutes()
            or (other_begin - begin) % _WEEK < self._minutes()
            for begin in self._begins()
            for other_begin in other._begins()
        )

    def _begins(self) -> list[int]:
        return [day * MINUTES_PER_DAY + self.start_min for day in sorted(self.days)]

    def _minutes(self) -> int:
        length = self.end_min - self.start_min
        return length if length > 0 else length + MINUTES_PER_DAY

    def __str__(self) -> str:
        days = ",".join(DAYS[day] for day in sorted(self.days))
        return f"{days} {_clock(self.start_min)}-{_clock(self.end_min)} {self.zone}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
