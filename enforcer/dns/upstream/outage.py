"""What the log says of an upstream that stops answering: a line then, and one when it is back.

An outage shows in the metrics as well; here it has a time and a cause. Time comes in.
"""

import logging
from enum import Enum
from typing import Final

from enforcer.settings.upstream import Upstream

log = logging.getLogger(__name__)

QUIET_S: Final = 60.0
"""One that comes and goes is said to be gone so often, and no more."""


class Trouble(Enum):
    """What an upstream does in place of answering; the values stand in the log."""

    SILENT = "does not answer"
    UNHELPFUL = "answers that it cannot or will not resolve"
    UNTRUSTED = "is not trusted"


class Outage:
    """One upstream's. ``told`` is what the log said last, None while all is well."""

    __slots__ = ("_quiet_until_s", "_upstream", "told")

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._quiet_until_s: float | None = None
        self.told: Trouble | None = None

    def goes_on(self, trouble: Trouble, detail: str, now_s: float) -> None:
        """To be called for each failure. ``now_s`` is monotonic."""
        if trouble is self.told:
            return
        if self._quiet_until_s is not None and now_s < self._quiet_until_s:
            return
        self.told = trouble
        self._quiet_until_s = now_s + QUIET_S
        log.warning("the upstream %s %s: %s", self._upstream, trouble.value, detail)

    def is_over(self) -> None:
        """It answers. To be called where something was told."""
        self.told = None
        log.warning("the upstream %s answers again", self._upstream)
