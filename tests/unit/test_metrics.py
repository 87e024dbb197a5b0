"""Plain numbers in memory, published at scrape."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from enforcer.metrics import OTHER, Info, Metrics, Series


def samples(metrics):
    text = metrics.render()[0].decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_series_is_there_before_anything_happened():
    found = samples(Metrics())

    for action in ("allow", "block", "monitor"):
        for transport in ("udp", "tcp"):
            key = ("enforcer_dns_queries_total", ("action", action), ("transport", transport))
            assert found[key] == 0


def test_what_is_added_is_scraped():
    metrics = Metrics()
    metrics.policy_reloads.add("failed")
    metrics.policy_reloads.add("failed", by=2)
    metrics.spliced_bytes.cell("to_client").value += 7

    found = samples(metrics)

    assert found["enforcer_policy_reloads_total", ("result", "failed")] == 3
    assert found["enforcer_spliced_bytes_total", ("direction", "to_client")] == 7


def test_a_gauge_is_set():
    metrics = Metrics()
    metrics.tls_open_connections.set(5)
    metrics.tls_open_connections.set(4)

    assert samples(metrics)["enforcer_tls_open_connections",] == 4


def test_an_unknown_label_value_counts_as_other_and_opens_no_series_of_its_own():
    series = Series("test_total", "A test.", reason=("known",), way=("in", "out"))
    for number in range(100):
        series.add(f"from the network {number}", "in")
        series.cell(f"again {number}", "out").value += 1

    assert {values: cell.value for values, cell in series.cells.items()} == {
        ("known", "in"): 0,
        ("known", "out"): 0,
        ("other", "in"): 100,
        ("other", "out"): 100,
    }


def test_the_wrong_number_of_labels_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        Series("test_total", "A test.", reason=("known",)).add()


def test_info_has_one_series_whatever_was_in_force_before():
    info = Info("test_info", "A test.", "digest")
    info.set(1, "one")
    info.set(1, "two")

    (family,) = [info.family()]

    assert [sample.labels for sample in family.samples] == [{"digest": "two"}]


def test_info_keeps_its_name_in_the_text_format():
    metrics = Metrics()
    metrics.build_info.set(1, "1.2.3")

    assert samples(metrics)["enforcer_build_info", ("version", "1.2.3")] == 1


def test_the_process_itself_is_in_the_scrape():
    assert ("process_open_fds",) in samples(Metrics())


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain;version=x.y", "application/openmetrics-text;version=1.0.x"]
)
def test_it_is_rendered_whatever_the_accept_header_says(accept):
    body, content_type = Metrics().render(accept)

    assert b"enforcer_policy_reloads_total" in body
    assert content_type.startswith(("text/plain", "application/openmetrics-text"))


def test_a_value_from_the_settings_has_its_series_at_once_and_others_are_still_unknown():
    series = Series("enforcer_test_total", "A test.", upstream=(), result=("good", "bad"))
    assert not series.cells
    series.extend("upstream", "192.0.2.53:53")
    series.extend("upstream", "192.0.2.53:53")
    assert set(series.cells) == {("192.0.2.53:53", "good"), ("192.0.2.53:53", "bad")}
    series.add("192.0.2.99:53", "good")
    assert series.cell(OTHER, "good").value == 1
