"""How many different events a worker reports in an interval, however they come."""

from enforcer.audit.event import AuditEvent
from enforcer.workers.process import REPORTS_PER_INTERVAL, Detail

EVENT = AuditEvent(
    1.0, 1.0, "dns", "192.0.2.1", "a.example", "", None, "block", "r", "why", "enforce", "p:1", "d"
)


def fill(window, count):
    for number in range(count):
        window.add(EVENT._replace(name=f"{number}.example"))
    return sum(event.name != "*" for event in window)


def test_a_burst_goes_out_as_it_is():
    assert fill(Detail(1000).build_window(), 1000) == 1000


def test_a_flood_is_held_to_what_fits_into_an_interval():
    detail = Detail(1000)
    fill(detail.build_window(), 5000)

    kept = [fill(detail.build_window(), 5000) for _ in range(REPORTS_PER_INTERVAL)]

    assert kept == [1000 // REPORTS_PER_INTERVAL] * REPORTS_PER_INTERVAL


def test_what_was_not_used_is_there_later():
    detail = Detail(1000)
    fill(detail.build_window(), 5000)
    for _ in range(REPORTS_PER_INTERVAL):
        detail.build_window()

    assert fill(detail.build_window(), 5000) == 1000


def test_nothing_goes_uncounted_in_a_flood():
    window = Detail(10).build_window()
    fill(window, 500)

    assert sum(event.occurrences for event in window) == 500
