"""What workers counted, those that live and those that are gone, as one with our own. Pure.

Counters never go back: what a worker had counted when it ended stays. Gauges are of those
that live.
"""

from collections.abc import Iterator

from enforcer.metrics import Counted, Metrics
from enforcer.workers.report import Counts, shared_series


class Tally:
    """Workers have numbers; one that is started again has its old one."""

    def __init__(self, metrics: Metrics) -> None:
        self._series = tuple(shared_series(metrics))
        self._living: dict[int, Counts] = {}
        self._gone: dict[str, dict[tuple[str, ...], float]] = {}
        metrics.before_scrape(self._publish)

    def reported(self, worker: int, counts: Counts) -> None:
        """All that it counted since its start."""
        self._living[worker] = counts

    def ended(self, worker: int) -> None:
        for name, counted in self._living.pop(worker, {}).items():
            if name.endswith("_total"):
                kept = self._gone.setdefault(name, {})
                for values, value in counted.items():
                    kept[values] = kept.get(values, 0) + value

    def _publish(self) -> None:
        for series in self._series:
            series.elsewhere = tuple(self._counted(series.name))

    def _counted(self, name: str) -> Iterator[Counted]:
        for counts in self._living.values():
            if name in counts:
                yield counts[name]
        if name in self._gone:
            yield self._gone[name]
