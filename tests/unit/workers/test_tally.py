"""One set of metrics, whatever processes it was counted in."""

import pytest

from enforcer.metrics import Metrics
from enforcer.workers.report import counts_message, read_counts, shared_series
from enforcer.workers.tally import Tally

UPSTREAM = "192.0.2.53:53"


def worker_metrics(**values):
    metrics = Metrics()
    metrics.dns_queries.add("block", "udp", by=values.get("queries", 0))
    metrics.dns_open_connections.set(values.get("connections", 0))
    for series in (metrics.dns_upstream_rtt, metrics.dns_upstream_healthy):
        series.extend("upstream", UPSTREAM)
    metrics.dns_upstream_rtt.set(values.get("rtt", 0), UPSTREAM)
    metrics.dns_upstream_healthy.set(values.get("healthy", 1), UPSTREAM)
    return metrics


def counts(**values):
    return read_counts(counts_message(worker_metrics(**values), "d"))[1]


@pytest.fixture
def own():
    return worker_metrics(queries=1, connections=1, rtt=0.1)


@pytest.fixture
def tally(own):
    return Tally(own)


def scraped(metrics, name, *labels):
    for family in metrics.collect():
        for sample in family.samples:
            if sample.name == name and tuple(sample.labels.values()) == labels:
                return sample.value
    raise AssertionError(name)


def queries(metrics):
    return scraped(metrics, "enforcer_dns_queries_total", "block", "udp")


def test_counters_are_our_own_and_those_of_all_workers(own, tally):
    tally.reported(0, counts(queries=10))
    tally.reported(1, counts(queries=100))

    assert queries(own) == 111


def test_a_report_is_in_place_of_the_one_before(own, tally):
    tally.reported(0, counts(queries=10))
    tally.reported(0, counts(queries=15))

    assert queries(own) == 16


def test_what_a_worker_counted_stays_when_it_is_gone(own, tally):
    tally.reported(0, counts(queries=10))
    tally.ended(0)
    assert queries(own) == 11

    tally.reported(0, counts(queries=2))
    assert queries(own) == 13
    tally.ended(0)
    assert queries(own) == 13


def test_a_worker_that_never_reported_may_end(own, tally):
    tally.ended(3)

    assert queries(own) == 1


def test_open_connections_are_those_of_the_living(own, tally):
    tally.reported(0, counts(connections=5))
    tally.reported(1, counts(connections=7))
    tally.ended(0)

    assert scraped(own, "enforcer_dns_open_connections") == 8


def test_of_upstreams_the_worst_is_said(own, tally):
    tally.reported(0, counts(rtt=0.02, healthy=1))
    tally.reported(1, counts(rtt=0.3, healthy=0))

    assert scraped(own, "enforcer_dns_upstream_rtt_seconds", UPSTREAM) == 0.3
    assert scraped(own, "enforcer_dns_upstream_healthy", UPSTREAM) == 0

    tally.ended(1)
    assert scraped(own, "enforcer_dns_upstream_rtt_seconds", UPSTREAM) == 0.1
    assert scraped(own, "enforcer_dns_upstream_healthy", UPSTREAM) == 1


def test_label_values_that_only_a_worker_met_are_there_too(own, tally):
    other = worker_metrics()
    other.dns_discarded.add("from the network")
    tally.reported(0, read_counts(counts_message(other, "d"))[1])

    assert scraped(own, "enforcer_dns_discarded_total", "other") == 1


def test_a_metric_that_we_do_not_know_is_left_out(own, tally):
    tally.reported(0, {"enforcer_made_up_total": {(): 5.0}})
    tally.ended(0)

    assert queries(own) == 1


def test_every_gauge_of_dns_says_how_it_is_merged():
    """A sum is right for what is held, wrong for a state: a new gauge has to stand here."""
    gauges = {
        series.name: series.merge.__name__
        for series in shared_series(Metrics())
        if not series.name.endswith("_total")
    }

    assert gauges == {
        "enforcer_dns_open_connections": "add",
        "enforcer_dns_workers": "add",
        "enforcer_dns_upstream_rtt_seconds": "max",
        "enforcer_dns_upstream_healthy": "min",
    }
