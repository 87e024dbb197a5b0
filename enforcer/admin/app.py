"""The pages: ``/metrics``, ``/healthz``, ``/readyz``.

All run on the loop: that ``/healthz`` is answered at all is the proof that it turns.
"""

from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from enforcer.metrics import Metrics

Readiness = Callable[[], Mapping[str, bool]]

_NOT_FOUND = 404
_UNAVAILABLE = 503
_NO_STORE = {"cache-control": "no-store"}


def build_app(metrics: Metrics, readiness: Readiness) -> Starlette:
    """``readiness`` says, by name, what must be there before traffic is sent here."""

    async def show_metrics(request: Request) -> Response:
        body, content_type = metrics.render(request.headers.get("accept", ""))
        # Given as a header: starlette would add a charset to a media type of text.
        return Response(body, headers={"content-type": content_type, **_NO_STORE})

    async def show_health(_request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_NO_STORE)

    async def show_readiness(_request: Request) -> Response:
        missing = [part for part, is_there in readiness().items() if not is_there]
        if missing:
            text = f"not ready, missing: {', '.join(missing)}\n"
            return PlainTextResponse(text, _UNAVAILABLE, headers=_NO_STORE)
        return PlainTextResponse("ready\n", headers=_NO_STORE)

    pages = {"/metrics": show_metrics, "/healthz": show_health, "/readyz": show_readiness}

    async def show_pages(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse(f"not here; there are {', '.join(pages)}\n", _NOT_FOUND)

    return Starlette(
        routes=[Route(path, page) for path, page in pages.items()],
        exception_handlers={_NOT_FOUND: show_pages},
    )
