"""Events as plain text, a line each."""

from enforcer.audit.plain import render_line


def test_a_line_says_when_what_who_where_and_why(event):
    assert render_line(event(port=443, plane="tls", occurrences=2)) == (
        "2026-11-24T12:00:00.000Z block   tls     192.0.2.7 to connect.ngrok-agent.com port 443 "
        "×2 (ngrok-connect: ngrok's default ingress is closed here)"  # noqa: RUF001 times
    )


def test_it_is_one_line_whatever_was_sent(event):
    hostile = "a\nb\u2028c\x1b[2J\udc80"

    line = render_line(event(name=hostile, client=hostile, reason=hostile, rule=hostile))

    assert line.isprintable()
    assert len(line.splitlines()) == 1
