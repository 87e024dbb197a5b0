"""Every metric, declared once: plain integers in memory, published at scrape.

Names follow Prometheus' conventions. Labels come from closed sets only: never a
client, never a queried name. Planes get the Metrics object and add to it.
"""

from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector


class Series:
    """One metric: a number for each combination of label values."""

    __slots__ = ("cells", "help", "labels", "name")

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self.name = name
        self.help = text
        self.labels = labels
        self.cells: dict[tuple[str, ...], float] = {} if labels else {(): 0}

    def add(self, *values: str, by: float = 1) -> None:
        self.cells[values] = self.cells.get(values, 0) + by

    def set(self, value: float, *values: str) -> None:
        self.cells[values] = value


class Metrics(Collector):
    """All of them. An attribute is a metric; its suffix says counter or gauge."""

    def __init__(self) -> None:
        self.dns_queries = Series(
            "enforcer_dns_queries_total",
            "DNS queries answered, by what the policy said and by transport.",
            "action",
            "transport",
        )
        self.dns_discarded = Series(
            "enforcer_dns_discarded_total",
            "DNS packets that were not answered or answered with an error, by reason.",
            "reason",
        )
        self.dns_upstream_queries = Series(
            "enforcer_dns_upstream_queries_total",
            "Queries sent to upstream resolvers, by how they ended.",
            "result",
        )
        self.tls_connections = Series(
            "enforcer_tls_connections_total",
            "Connections through the gate, by what the policy said and by entrance.",
            "action",
            "entrance",
        )
        self.tls_open_connections = Series(
            "enforcer_tls_open_connections", "Connections that the gate holds now."
        )
        self.tls_discarded = Series(
            "enforcer_tls_discarded_total",
            "Connections closed before the policy could be asked, or whose destination failed.",
            "reason",
        )
        self.spliced_bytes = Series(
            "enforcer_spliced_bytes_total",
            "Bytes passed between clients and destinations.",
            "direction",
        )
        self.connect_url_probes = Series(
            "enforcer_connect_url_probes_total",
            "Checks of the certificate presented at a Connect URL, by outcome.",
            "result",
        )
        self.policy_reloads = Series(
            "enforcer_policy_reloads_total", "Policy reloads, by result.", "result"
        )
        self.policy_last_reload_successful = Series(
            "enforcer_policy_last_reload_successful",
            "Whether the last reload gave a policy (1) or the one before is kept (0).",
        )
        self.policy_loaded_timestamp = Series(
            "enforcer_policy_loaded_timestamp_seconds",
            "When the policy in force was loaded, in seconds since the epoch.",
        )
        self.policy_info = Series(
            "enforcer_policy_info", "The policy in force: always 1.", "digest", "mode"
        )
        self.audit_events = Series(
            "enforcer_audit_events_total", "Events handed to the audit trail."
        )
        self.audit_events_stored = Series(
            "enforcer_audit_events_stored_total",
            "Events in the store, folded ones counted one by one.",
        )
        self.audit_write_errors = Series(
            "enforcer_audit_write_errors_total",
            "Failed writes to the store; their events are kept and tried again.",
        )
        self.audit_events_coarsened = Series(
            "enforcer_audit_events_coarsened_total",
            "Events recorded without name or client, since too many different ones came at once.",
        )
        self.build_info = Series("enforcer_build_info", "The running version: always 1.", "version")

    def series(self) -> Iterator[Series]:
        return (value for value in vars(self).values() if isinstance(value, Series))

    def collect(self) -> Iterator[Metric]:
        for series in self.series():
            family: CounterMetricFamily | GaugeMetricFamily
            if series.name.endswith("_total"):
                family = CounterMetricFamily(series.name, series.help, labels=series.labels)
            else:
                family = GaugeMetricFamily(series.name, series.help, labels=series.labels)
            for values, number in list(series.cells.items()):
                family.add_metric(values, number)
            yield family
