"""The pages, asked as uvicorn asks them."""

from typing import NamedTuple

from enforcer.admin.app import build_app
from enforcer.metrics import Metrics


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


async def ask(path, readiness=dict, method="GET", accept="", metrics=None) -> Answer:
    app = build_app(metrics or Metrics(), readiness)
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"accept", accept.encode("latin-1"))],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 9053),
        "state": {},
    }
    await app(scope, receive, send)
    start, *rest = sent
    body = b"".join(message.get("body", b"") for message in rest)
    return Answer(start["status"], dict(start["headers"]), body)


async def test_health_is_ok_whenever_it_can_be_asked():
    answer = await ask("/healthz", readiness=lambda: {"policy": False})

    assert answer.status == 200
    assert answer.body == b"ok\n"


async def test_ready_when_nothing_is_missing():
    answer = await ask("/readyz", readiness=lambda: {"policy": True, "dns": True})

    assert answer.status == 200
    assert answer.body == b"ready\n"


async def test_not_ready_names_what_is_missing():
    answer = await ask("/readyz", readiness=lambda: {"policy": True, "dns": False, "tls": False})

    assert answer.status == 503
    assert answer.body == b"not ready, missing: dns, tls\n"


async def test_metrics_are_prometheus_text_unless_asked_otherwise():
    metrics = Metrics()
    metrics.policy_reloads.add("failed")

    answer = await ask("/metrics", metrics=metrics)

    assert answer.status == 200
    assert answer.headers[b"content-type"].startswith(b"text/plain; version=0.0.4")
    assert b'enforcer_policy_reloads_total{result="failed"} 1.0\n' in answer.body


async def test_metrics_are_openmetrics_for_who_asks_for_it():
    answer = await ask("/metrics", accept="application/openmetrics-text; version=1.0.0")

    assert answer.headers[b"content-type"].startswith(b"application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


async def test_an_accept_header_of_rubbish_gets_plain_text():
    for accept in ("application/openmetrics-text; version=", "text/plain;version=x.y", "\xff;;,="):
        answer = await ask("/metrics", accept=accept)

        assert answer.status == 200, accept


async def test_no_answer_is_cached():
    for path in ("/metrics", "/healthz", "/readyz"):
        assert (await ask(path)).headers[b"cache-control"] == b"no-store"


async def test_head_is_answered_like_get():
    assert (await ask("/readyz", method="HEAD")).status == 200


async def test_an_unknown_path_says_which_there_are():
    answer = await ask("/")

    assert answer.status == 404
    assert answer.body == b"not here; there are /metrics, /healthz, /readyz\n"


async def test_nothing_can_be_posted():
    assert (await ask("/metrics", method="POST")).status == 405
