"""Events as plain text, a line each."""

from enforcer.audit.plain import render_line


def test_a_line_says_when_what_who_where_and_why(event):
    assert render_line(event(port=443, plane="tls", occurrences=2)) == (
        "2026-11-24T12:00:00.000Z block   tls     192.0.2.7 to connect.ngrok-agent.com port 443 "
        "×2 (ngrok-connect: ngrok's default ingress is closed here)"  # noqa: RUF001 times
    )


def test_folded_events_have_the_time_that_they_are_ordered_by_and_the_first(event):
    last_time_s = event(at=1.5).time_s
    line = render_line(event(occurrences=2, last_time_s=last_time_s))

    assert line.startswith("2026-11-24T12:00:01.500Z ")
    assert line.endswith(") since 2026-11-24T12:00:00.000Z")


def test_it_is_one_line_whatever_was_sent(event):
    hostile = "a\nb\u2028c\x1b[2J\udc80"

    line = render_line(event(name=hostile, client=hostile, reason=hostile, rule=hostile))

    assert line.isprintable()
    assert len(line.splitlines()) == 1
