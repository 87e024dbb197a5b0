"""How fast an upstream answers, whether it does, and which of several is asked. Pure.

Round trips are smoothed as TCP does it (RFC 6298 2). An upstream that fails is passed
over for a time that doubles with each failure in a row; one that is silent beyond its
patience is passed over until it speaks again. Time comes in, in seconds.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

MIN_PATIENCE_S: Final = 0.3
"""A resolver that must ask others first is not slow for that."""
FIRST_PATIENCE_S: Final = 0.8
MAX_BACK_OFF_S: Final = 60.0
UNHELPFUL_IN_A_ROW: Final = 8
"""One that refuses or cannot resolve one name may do so for a reason; so many in a row not."""
SILENT_IN_A_ROW: Final = 3
"""Losses happen; so many queries in a row without a word are more than that."""
TRIAL_EVERY: Final = 100
"""One query of so many is sent to another upstream too, to know how fast that one is now."""
REVIEW_S: Final = 0.1
_ALPHA, _BETA, _DEVIATIONS = 1 / 8, 1 / 4, 4


class Health:
    """One upstream's."""

    __slots__ = ("_deviation_s", "_unhelpful", "failures", "retry_at_s", "rtt_s", "silent")

    def __init__(self) -> None:
        self.rtt_s: float | None = None
        """Smoothed; None as long as nothing was measured."""
        self._deviation_s = 0.0
        self._unhelpful = 0
        self.failures = 0
        self.silent = 0
        self.retry_at_s = 0.0

    def replied(self, rtt_s: float | None) -> None:
        """None when it is well, but the time says nothing."""
        self.failures = self.silent = self._unhelpful = 0
        self.retry_at_s = 0.0
        if rtt_s is None:
            return
        if self.rtt_s is None:
            self.rtt_s, self._deviation_s = rtt_s, rtt_s / 2
            return
        off_s = rtt_s - self.rtt_s
        self._deviation_s += _BETA * (abs(off_s) - self._deviation_s)
        self.rtt_s += _ALPHA * off_s

    def failed(self, now_s: float) -> None:
        self.failures += 1
        # 2 ** 6 is beyond the limit.
        self.retry_at_s = now_s + min(2.0 ** min(self.failures - 1, 6), MAX_BACK_OFF_S)

    def was_unhelpful(self, now_s: float) -> None:
        """It replied that it cannot or will not resolve a name."""
        self.silent = 0
        self._unhelpful += 1
        if self.is_unhelpful:
            self.failed(now_s)

    def was_silent(self, now_s: float) -> None:
        """It has not answered for as long as one is patient with it, and still may."""
        self.silent += 1
        if self.silent >= SILENT_IN_A_ROW:
            self.retry_at_s = max(self.retry_at_s, now_s + 1)

    @property
    def is_unhelpful(self) -> bool:
        return self._unhelpful >= UNHELPFUL_IN_A_ROW

    @property
    def is_well(self) -> bool:
        return not self.failures and self.silent < SILENT_IN_A_ROW

    def patience_s(self, at_most_s: float) -> float:
        """How long to wait before another is asked too."""
        if self.rtt_s is None:
            return min(FIRST_PATIENCE_S, at_most_s)
        return min(max(self.rtt_s + _DEVIATIONS * self._deviation_s, MIN_PATIENCE_S), at_most_s)


class Choice:
    """The order in which several upstreams are asked; what comes out are their indices."""

    def __init__(self, healths: Sequence[Health]) -> None:
        self._healths = healths
        self._asked = 0
        self._order: tuple[int, ...] = ()
        self._review_at_s = 0.0
        self._next_trial = 0

    def order(self, now_s: float) -> tuple[int, ...]:
        """The fastest that is well first; what was never measured after what was.

        One that failed comes after all that are well, the soonest to be asked again first.
        """
        if now_s >= self._review_at_s:
            self._review_at_s = now_s + REVIEW_S
            self._order = tuple(sorted(range(len(self._healths)), key=self._rank))
        return self._order

    def review(self) -> None:
        """Something failed: the order is made anew for the next query."""
        self._review_at_s = 0.0

    def trial(self, now_s: float) -> int | None:
        """Another of several to send this query to as well, now and then; else None."""
        count = len(self._healths)
        self._asked += 1
        first = self._order[0]
        for index, health in enumerate(self._healths):
            known = health.is_well and health.rtt_s is not None
            if index != first and not known and now_s >= health.retry_at_s:
                # One trial at a time is enough; its end sets this anew.
                health.retry_at_s = now_s + MAX_BACK_OFF_S
                return index
        if self._asked % TRIAL_EVERY:
            return None
        self._next_trial = (self._next_trial + 1) % count
        return self._next_trial if self._next_trial != first else None

    def _rank(self, index: int) -> tuple[bool, float, float, int]:
        health = self._healths[index]
        rtt_s = inf if health.rtt_s is None else health.rtt_s
        well = health.is_well
        return not well, 0.0 if well else health.retry_at_s, rtt_s, index
