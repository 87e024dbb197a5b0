"""Which upstream is asked, and which after it.

The one that answered last is asked first. One that fails is passed over for a while,
unless all others fail too. An upstream that refuses or fails to resolve (SERVFAIL,
REFUSED) gives way to the next; its reply is kept in case that none is better.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from enforcer.dns.upstream import UpstreamError, ask_upstream, build_upstream_query
from enforcer.dns.wire import RCODE, Query
from enforcer.metrics import Metrics
from enforcer.settings.endpoint import Endpoint

# A single upstream is asked twice, since UDP may lose a packet.
MIN_ATTEMPTS = 2
# An upstream that failed is asked last for so long.
PASSED_OVER_S = 10.0
_UNHELPFUL = {2, 5}  # SERVFAIL, REFUSED

# An upstream, the query and its question section to the reply; raises UpstreamError.
Exchange = Callable[[Endpoint, bytes, bytes], Awaitable[bytes]]


class Forwarder:
    """Asks the configured upstreams. ``monotonic`` gives seconds."""

    def __init__(
        self,
        upstreams: tuple[Endpoint, ...],
        *,
        timeout_s: float,
        metrics: Metrics,
        exchange: Exchange = ask_upstream,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchange = exchange
        self._timeout_s = timeout_s
        self._queries = metrics.dns_upstream_queries
        self._monotonic = monotonic
        self._failed_at_s = dict.fromkeys(upstreams, -PASSED_OVER_S)

    async def ask(self, query: Query) -> bytes | None:
        """The best reply that an upstream gave, or None when none did. Never raises."""
        unhelpful = None
        for upstream in self._in_order():
            reply = await self._ask(upstream, query)
            if reply is not None:
                if reply[3] & RCODE not in _UNHELPFUL:
                    return reply
                unhelpful = unhelpful or reply
        return unhelpful

    def _in_order(self) -> list[Endpoint]:
        now_s = self._monotonic()
        healthy = [
            upstream
            for upstream, failed_at_s in self._failed_at_s.items()
            if now_s - failed_at_s >= PASSED_OVER_S
        ]
        others = [upstream for upstream in self._failed_at_s if upstream not in healthy]
        order = healthy + others
        return order * MIN_ATTEMPTS if len(order) == 1 else order

    async def _ask(self, upstream: Endpoint, query: Query) -> bytes | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._exchange(upstream, build_upstream_query(query), query.question)
        except TimeoutError:
            self._fail(upstream, "timeout")
            return None
        except UpstreamError as error:
            self._fail(upstream, str(error))
            return None
        self._queries.add("answered")
        self._failed_at_s[upstream] = self._monotonic() - PASSED_OVER_S
        return reply

    def _fail(self, upstream: Endpoint, result: str) -> None:
        self._queries.add(result)
        self._failed_at_s[upstream] = self._monotonic()
