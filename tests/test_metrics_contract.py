"""docs/metrics.md, what is scraped, and the conventions of Prometheus say the same."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from enforcer.metrics import OTHER, Info, Metrics

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(enforcer_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", re.MULTILINE)
LABEL = re.compile(r"`(\w+)`(?:: ([^;]*))?")
# https://prometheus.io/docs/practices/naming/: base units, and no type in a name.
NOT_IN_A_NAME = re.compile(r"_(ms|millis\w*|minutes|hours|kb|mb|count|counter|gauge|percent)(_|$)")
WHO_AND_WHAT = {"client", "name", "qname", "host", "sni", "address", "ip", "url", "user"}


@pytest.fixture(scope="module")
def documented():
    """Of each name: its type, and the values of each label."""
    found = {}
    for name, kind, labels, _ in ROW.findall(PAGE.read_text(encoding="utf-8")):
        values = {
            label: {value.strip("` ") for value in listed.split(",")} if listed else set()
            for label, listed in LABEL.findall(labels)
        }
        found[name] = (kind, values)
    return found


@pytest.fixture(scope="module")
def scraped():
    metrics = Metrics()
    metrics.policy_info.set(1, "abc", "enforce")
    metrics.build_info.set(1, "1.0")
    for series in metrics.series():
        if "upstream" in series.labels:
            series.extend("upstream", "192.0.2.53:53")
        if "zone" in series.labels:
            series.extend("zone", "rpz.example")
    found = {}
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for sample in family.samples:
            if sample.name.startswith("enforcer_"):
                labels = found.setdefault(sample.name, (family.type, {}))[1]
                for label, value in sample.labels.items():
                    labels.setdefault(label, set()).add(value)
    return found


def test_the_page_and_the_scrape_have_the_same_names_and_types(documented, scraped):
    assert {name: kind for name, (kind, _) in documented.items()} == {
        name: kind for name, (kind, _) in scraped.items()
    }


def test_the_page_and_the_scrape_have_the_same_labels_and_values(documented, scraped):
    for name, (_, labels) in documented.items():
        for label, values in labels.items():
            seen = scraped[name][1][label]
            assert not values or values == seen, f"{name}{{{label}}}"
        assert labels.keys() == scraped[name][1].keys(), name


def test_no_label_is_open_but_those_of_what_is_in_force():
    for series in Metrics().series():
        if not isinstance(series, Info):
            # Upstreams and zones stand in the settings, which close the set at the start.
            settled = {"upstream", "zone"}
            closed = [values for label, values in series.labels.items() if label not in settled]
            assert all(closed), series.name


def test_nothing_that_a_client_sends_becomes_a_label_value():
    for series in Metrics().series():
        if isinstance(series, Info) or not series.labels:
            continue
        before = set(series.cells)
        for number in range(50):
            series.add(*(f"client-{number}.example" for _ in series.labels))
        assert set(series.cells) - before == {(OTHER,) * len(series.labels)}, series.name


def test_no_label_is_named_after_who_asks_or_what_for():
    for series in Metrics().series():
        assert not series.labels.keys() & WHO_AND_WHAT, series.name


def test_names_follow_the_conventions():
    for series in Metrics().series():
        assert re.fullmatch(r"enforcer_[a-z]+(_[a-z]+)+", series.name)
        assert not NOT_IN_A_NAME.search(series.name), series.name
        assert series.help.endswith("."), series.name


def test_names_are_unique():
    names = [series.name for series in Metrics().series()]

    assert len(names) == len(set(names))
