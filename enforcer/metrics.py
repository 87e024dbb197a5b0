"""Every metric, declared once: plain numbers in memory, published at scrape.

Names follow https://prometheus.io/docs/practices/naming/. A label's values are a closed
set that stands here, or for upstreams in the settings, so that every series is there from
the first scrape, and none can carry a client or a name. Planes get the Metrics object and
add to it.
"""

import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import product

from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from enforcer.policy.model import Action, CertificateCheck, Plane

# What a value counts as that its label does not know: bounded, and never lost.
OTHER = "other"

Merge = Callable[[float, float], float]
# Label values and how much was counted under them.
Counted = Mapping[tuple[str, ...], float]


class Cell:
    """One number. Hot paths keep the cell instead of its labels: ``cell.value += 1``."""

    __slots__ = ("value",)

    def __init__(self, value: float = 0) -> None:
        self.value = value


class Series:
    """One metric: a cell for each combination of label values.

    ``elsewhere`` is what other processes counted of it; ``merge`` makes one value of two.
    """

    __slots__ = ("cells", "elsewhere", "help", "labels", "merge", "name")

    def __init__(
        self, name: str, text: str, merge: Merge = operator.add, /, **labels: Iterable[str]
    ) -> None:
        self.name = name
        self.help = text
        self.merge = merge
        self.elsewhere: Collection[Counted] = ()
        self.labels = {label: tuple(values) for label, values in labels.items()}
        self.cells: dict[tuple[str, ...], Cell] = {
            values: Cell() for values in product(*self.labels.values())
        }

    def extend(self, label: str, value: str) -> None:
        """One more value of a label, known from the settings before anything is counted."""
        if value not in self.labels[label]:
            self.labels[label] += (value,)
            for values in product(*self.labels.values()):
                self.cells.setdefault(values, Cell())

    def cell(self, *values: str) -> Cell:
        """The cell of these label values, in the order of ``labels``."""
        return self.cells.get(values) or self._other(values)

    def add(self, *values: str, by: float = 1) -> None:
        cell = self.cells.get(values)
        if cell is None:
            cell = self._other(values)
        cell.value += by

    def set(self, value: float, *values: str) -> None:
        self.cell(*values).value = value

    def family(self) -> Metric:
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        family = kind(self.name, self.help, labels=tuple(self.labels))
        for values, value in self.merged().items():
            family.add_metric(values, value)
        return family

    def merged(self) -> dict[tuple[str, ...], float]:
        """What all processes counted, as one."""
        merged = {values: cell.value for values, cell in self.cells.copy().items()}
        for counted in self.elsewhere:
            for values, value in counted.items():
                merged[values] = self.merge(merged[values], value) if values in merged else value
        return merged

    def _other(self, values: tuple[str, ...]) -> Cell:
        known = tuple(
            value if value in allowed else OTHER
            for value, allowed in zip(values, self.labels.values(), strict=True)
        )
        return self.cells.setdefault(known, Cell())


class Info(Series):
    """What is in force, as labels of a single series whose value is 1."""

    __slots__ = ()

    def __init__(self, name: str, text: str, *labels: str) -> None:
        super().__init__(name, text, **dict.fromkeys(labels, ()))

    def set(self, value: float, *values: str) -> None:
        self.cells = {values: Cell(value)}

    def family(self) -> Metric:
        family = InfoMetricFamily(self.name.removesuffix("_info"), self.help)
        for values in self.cells:
            family.add_metric((), dict(zip(self.labels, values, strict=True)))
        return family


class Metrics(Collector):
    """All of them: an attribute is a metric. Counters end in ``_total``."""

    def __init__(self) -> None:
        self.dns_queries = Series(
            "enforcer_dns_queries_total",
            "DNS queries answered, by what the policy said and by transport.",
            action=Action,
            transport=("udp", "tcp", "dot"),
        )
        self.dns_answers = Series(
            "enforcer_dns_answers_total",
            "Where answers to DNS queries came from: the policy, the cache, an older answer in "
            "want of a new one, an upstream, here for names that never leave, or nowhere.",
            origin=("policy", "cache", "stale", "upstream", "local", "failed"),
        )
        self.dns_prefetches = Series(
            "enforcer_dns_prefetches_total", "Answers fetched again before their time was over."
        )
        self.dns_discarded = Series(
            "enforcer_dns_discarded_total",
            "DNS packets that were not answered or answered with an error, by reason.",
            reason=(
                "malformed",
                "unsupported",
                "upstream_failed",
                "overloaded",
                "internal_error",
                "prohibited",
                "rate_limited",
                "bad_cookie",
                "proxy_header",
                "tls_handshake",
                "too_many_connections",
            ),
        )
        self.dns_open_connections = Series(
            "enforcer_dns_open_connections", "TCP and TLS connections of DNS clients that are open."
        )
        self.dns_workers = Series(
            "enforcer_dns_workers",
            "Worker processes that serve DNS, by whether they have the main process's policy.",
            state=("in_step", "behind"),
        )
        self.dns_worker_restarts = Series(
            "enforcer_dns_worker_restarts_total",
            "Worker processes that ended without being told to, and were started again.",
        )
        self.dns_upstream_queries = Series(
            "enforcer_dns_upstream_queries_total",
            "Queries sent to upstream resolvers, by upstream and by how they ended.",
            upstream=(),
            result=("answered", "timeout", "unreachable", "untrusted", "malformed"),
        )
        self.dns_upstream_ignored = Series(
            "enforcer_dns_upstream_ignored_total",
            "Messages from upstreams, or in their name, that were no reply to what was asked.",
            reason=(
                "malformed",
                "oversize",
                "other_address",
                "other_id",
                "other_question",
                "other_case",
                "other_cookie",
            ),
        )
        self.dns_upstream_rtt = Series(
            "enforcer_dns_upstream_rtt_seconds",
            "How long an upstream takes to reply, smoothed; 0 when it never did.",
            max,
            upstream=(),
        )
        self.dns_upstream_healthy = Series(
            "enforcer_dns_upstream_healthy",
            "Whether an upstream is asked (1) or passed over because it failed (0).",
            min,
            upstream=(),
        )
        self.dns_coalesced = Series(
            "enforcer_dns_coalesced_total",
            "Queries that waited for the reply to the same question of somebody else.",
        )
        self.tls_connections = Series(
            "enforcer_tls_connections_total",
            "Connections through the gate, by what the policy said and by entrance.",
            action=Action,
            entrance=(plane for plane in Plane if plane is not Plane.DNS),
        )
        self.tls_open_connections = Series(
            "enforcer_tls_open_connections", "Connections that the gate holds now."
        )
        self.tls_discarded = Series(
            "enforcer_tls_discarded_total",
            "Connections closed before the policy could be asked, or whose destination failed.",
            reason=(
                "client_gone",
                "client_silent",
                "internal_error",
                "malformed_request",
                "not_redirected",
                "socks_authentication",
                "too_many_connections",
                "upstream_gone",
                "upstream_timeout",
                "upstream_unreachable",
            ),
        )
        self.spliced_bytes = Series(
            "enforcer_spliced_bytes_total",
            "Bytes passed between clients and destinations.",
            direction=("to_upstream", "to_client"),
        )
        self.connect_url_probes = Series(
            "enforcer_connect_url_probes_total",
            "Checks of the certificate presented at a Connect URL, by outcome.",
            result=CertificateCheck,
        )
        self.policy_reloads = Series(
            "enforcer_policy_reloads_total",
            "Policy reloads, by result.",
            result=("succeeded", "failed"),
        )
        self.policy_last_reload_successful = Series(
            "enforcer_policy_last_reload_successful",
            "Whether the last reload gave a policy (1) or the one before is kept (0).",
        )
        self.policy_loaded_timestamp = Series(
            "enforcer_policy_loaded_timestamp_seconds",
            "When the policy in force was loaded, in seconds since the epoch.",
        )
        self.policy_info = Info(
            "enforcer_policy_info", "The policy in force: always 1.", "digest", "mode"
        )
        self.zone_transfers = Series(
            "enforcer_zone_transfers_total",
            "Looks at the primary of a policy zone, by zone and by what they came to.",
            zone=(),
            result=("updated", "unchanged", "failed"),
        )
        self.zone_last_success = Series(
            "enforcer_zone_last_success_timestamp_seconds",
            "When the primary of a policy zone was last heard, in seconds since the epoch.",
            zone=(),
        )
        self.zone_expired = Series(
            "enforcer_zone_expired",
            "Whether a policy zone is older than its SOA allows (1); it stays in force.",
            zone=(),
        )
        self.audit_events = Series(
            "enforcer_audit_events_total", "Events handed to the audit trail."
        )
        self.audit_events_stored = Series(
            "enforcer_audit_events_stored_total",
            "Events in the store, folded ones counted one by one.",
        )
        self.audit_events_coarsened = Series(
            "enforcer_audit_events_coarsened_total",
            "Events recorded without destination or client: too many different ones at once.",
        )
        self.audit_write_errors = Series(
            "enforcer_audit_write_errors_total",
            "Failed writes to the store; their events are kept and tried again.",
        )
        self.audit_log_errors = Series(
            "enforcer_audit_log_errors_total", "Events that could not be written to the log."
        )
        self.build_info = Info("enforcer_build_info", "The running version: always 1.", "version")
        self._refreshers: list[Callable[[], None]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def series(self) -> Iterator[Series]:
        return (value for value in vars(self).values() if isinstance(value, Series))

    def before_scrape(self, refresh: Callable[[], None]) -> None:
        """Call this before each scrape, to set what is not kept up to date."""
        self._refreshers.append(refresh)

    def collect(self) -> Iterator[Metric]:
        for refresh in self._refreshers:
            refresh()
        return (series.family() for series in self.series())

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics and their content type, in the format that the Accept header asks for."""
        try:
            encode, content_type = choose_encoder(accept)
            return encode(self._registry), content_type
        except (TypeError, ValueError):
            # The library trips over a version in the header that is not a number.
            encode, content_type = choose_encoder("")
            return encode(self._registry), content_type
