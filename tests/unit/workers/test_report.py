"""What a worker says of events and counts, and what is made of it."""

import pytest

from enforcer.audit.event import AuditEvent
from enforcer.metrics import Metrics
from enforcer.workers.channel import ChannelError, Frames, frame
from enforcer.workers.report import (
    MAX_EVENTS,
    MAX_EVENTS_TEXT,
    counts_message,
    events_messages,
    read_counts,
    read_events,
)

EVENT = AuditEvent(
    1.5, 2.5, "dns", "192.0.2.1", "a.example", "", None, "block", "r", "why", "enforce", "p:1", "d"
)


def over_the_wire(message):
    (received,) = Frames().feed(frame(message))
    return received


def test_events_come_out_as_they_went_in():
    events = [EVENT, EVENT._replace(port=443, occurrences=7), EVENT._replace(name="ü\udcff\0")]

    (message,) = events_messages(events)

    assert read_events(over_the_wire(message)) == events


def test_no_events_are_no_message():
    assert list(events_messages([])) == []


@pytest.mark.parametrize(
    "events",
    [
        [EVENT._replace(name=f"{number}.example") for number in range(2 * MAX_EVENTS + 1)],
        [EVENT._replace(reason="\0" * (MAX_EVENTS_TEXT // 2)) for _ in range(5)],
    ],
    ids=["many", "long"],
)
def test_more_than_a_message_holds_goes_in_several(events):
    messages = [over_the_wire(message) for message in events_messages(events)]

    assert len(messages) > 2
    assert [event for message in messages for event in read_events(message)] == events


@pytest.mark.parametrize(
    "events",
    [
        None,
        3,
        [[1, 2]],
        [[*EVENT[:-1], "many"]],
        [["now", *EVENT[1:]]],
        [[*EVENT[:4], ["a"], *EVENT[5:]]],
    ],
)
def test_what_are_no_events_is_told(events):
    with pytest.raises(ChannelError):
        read_events({"is": "events", "events": events})


def test_counts_are_those_of_dns_with_the_policy_in_force():
    metrics = Metrics()
    metrics.dns_queries.add("block", "udp", by=3)
    metrics.dns_upstream_rtt.extend("upstream", "192.0.2.53:53")
    metrics.dns_upstream_rtt.set(0.25, "192.0.2.53:53")
    metrics.audit_events_coarsened.add(by=2)
    metrics.audit_events.add()

    digest, counts = read_counts(over_the_wire(counts_message(metrics, "abc")))

    assert digest == "abc"
    assert counts["enforcer_dns_queries_total"]["block", "udp"] == 3
    assert counts["enforcer_dns_upstream_rtt_seconds"]["192.0.2.53:53",] == 0.25
    assert counts["enforcer_audit_events_coarsened_total"][()] == 2
    assert "enforcer_audit_events_total" not in counts


@pytest.mark.parametrize(
    "counts", [None, [], {"a": 3}, {"a": [[["x"]]]}, {"a": [[["x"], "many"]]}, {"a": [[3, 1]]}]
)
def test_what_are_no_counts_is_told(counts):
    with pytest.raises(ChannelError):
        read_counts({"is": "counts", "policy": "d", "counts": counts})
