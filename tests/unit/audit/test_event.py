"""What an event says, and what makes two of them one."""

import json
from ipaddress import ip_address

from enforcer.audit.event import (
    AuditEvent,
    audit_event,
    event_fields,
    render_destination,
    render_time,
)
from enforcer.policy.model import Action, Mode, Plane, Request, Source, Verdict

REQUEST = Request(
    plane=Plane.TLS,
    name="connect.ngrok-agent.com",
    address=ip_address("2001:db8::1"),
    port=443,
    client=ip_address("192.0.2.7"),
    time_s=1_795_521_600.25,
)
VERDICT = Verdict(
    Action.BLOCK, "ngrok-connect", "it is closed", Source("pack.yaml", 14), Mode.ENFORCE
)


def test_a_verdict_is_recorded_with_all_that_was_known():
    assert audit_event(REQUEST, VERDICT, "abc") == AuditEvent(
        time_s=1_795_521_600.25,
        last_time_s=1_795_521_600.25,
        plane="tls",
        client="192.0.2.7",
        name="connect.ngrok-agent.com",
        address="2001:db8::1",
        port=443,
        action="block",
        rule="ngrok-connect",
        reason="it is closed",
        mode="enforce",
        source="pack.yaml:14",
        policy="abc",
        occurrences=1,
    )


def test_what_was_not_known_is_empty():
    event = audit_event(Request(Plane.DNS), VERDICT, "abc")

    assert (event.client, event.name, event.address, event.port) == ("", "", "", None)


def test_events_are_equal_whenever_and_however_often_they_happened(event):
    assert event().folding_key == event(at=9, occurrences=5).folding_key


def test_any_other_difference_makes_two(event):
    different = {
        "plane": "tls",
        "client": "192.0.2.8",
        "name": "a.example",
        "address": "192.0.2.9",
        "port": 443,
        "action": "monitor",
        "rule": "other",
        "reason": "other",
        "mode": "monitor",
        "source": "policy.yaml:4",
        "policy": "def",
    }
    keys = {event(**{field: value}).folding_key for field, value in different.items()}

    assert len(keys | {event().folding_key}) == len(different) + 1
    assert different.keys() | {"time_s", "last_time_s", "occurrences"} == set(AuditEvent._fields)


def test_fields_are_named_for_programs(event):
    fields = event_fields(event(occurrences=3)._replace(last_time_s=1_795_521_601.5))

    assert fields == {
        "time": "2026-11-24T12:00:00.000Z",
        "plane": "dns",
        "client": "192.0.2.7",
        "name": "connect.ngrok-agent.com",
        "address": "",
        "port": None,
        "action": "block",
        "rule": "ngrok-connect",
        "reason": "ngrok's default ingress is closed here",
        "mode": "enforce",
        "source": "policy.yaml:3",
        "policy": "abc",
        "count": 3,
        "last_time": "2026-11-24T12:00:01.500Z",
    }


def test_fields_are_utf_8_whatever_was_asked_for(event):
    json.dumps(event_fields(event(name="\udc80.example")), ensure_ascii=False).encode()


def test_a_time_is_rfc_3339_in_utc_to_the_millisecond():
    assert render_time(0.25) == "1970-01-01T00:00:00.250Z"
    assert render_time(1_795_521_600) == "2026-11-24T12:00:00.000Z"


def test_a_destination_has_as_much_as_is_known():
    assert render_destination("a.example", "192.0.2.1", 443) == "a.example (192.0.2.1) port 443"
    assert render_destination("", "192.0.2.1", 443) == "192.0.2.1 port 443"
    assert render_destination("a.example", "", None) == "a.example"
    assert render_destination("", "", None) == ""


def test_a_destination_is_shown_in_escapes():
    assert render_destination("\x1b[2Ja\n.example", "", None) == "\\x1b[2Ja\\n.example"
