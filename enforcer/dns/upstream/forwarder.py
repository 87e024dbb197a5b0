"""The way to the upstreams: who is asked for a name, and one question for all who ask it at once.

``submit`` takes a query and calls back; ``ask`` is the same to wait for. Neither raises.
One timer sweeps over all that waits, instead of one for each query.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from enforcer.dns.packets.wire import Query
from enforcer.dns.upstream.inquiry import Deliver, Group, Inquiry, Limits
from enforcer.dns.upstream.link import LinkOptions, UpstreamLink, build_link
from enforcer.dns.upstream.query import Randomness
from enforcer.dns.upstream.routes import Routes
from enforcer.metrics import Metrics
from enforcer.settings.dns import DnsSettings
from enforcer.settings.upstream import Upstream

SWEEP_S: Final = 0.02
MAX_INQUIRIES: Final = 20_000
TOTAL_TIMEOUT_S: Final = 5.0

# Suffixes, folded text, and who is asked for them.
ForwardRule = tuple[tuple[str, ...], tuple[Upstream, ...]]
BuildLink = Callable[
    [Upstream, LinkOptions, Metrics, Randomness, Callable[[], float]], UpstreamLink
]


class Forwarder:
    """``monotonic`` gives seconds. To be closed in the loop that it was used in."""

    def __init__(
        self,
        upstreams: Iterable[Upstream],
        *,
        timeout_s: float,
        metrics: Metrics,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
        forward: Iterable[ForwardRule] = (),
        options: LinkOptions | None = None,
        forward_client_subnet: bool = False,
        build: BuildLink = build_link,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._limits = Limits(timeout_s, total_timeout_s)
        self._coalesced = metrics.dns_coalesced.cell()
        self._forward_client_subnet = forward_client_subnet
        options = options or LinkOptions()
        random = Randomness()
        links: dict[Upstream, UpstreamLink] = {}

        def group(members: Iterable[Upstream]) -> Group:
            for upstream in members:
                if upstream not in links:
                    links[upstream] = build(upstream, options, metrics, random, monotonic)
            return Group([links[upstream] for upstream in dict.fromkeys(members)])

        self._routes = Routes(
            group(tuple(upstreams)), [(suffixes, group(members)) for suffixes, members in forward]
        )
        self._links = tuple(links.values())
        self._asking: dict[object, Inquiry] = {}
        self._lingering: list[Inquiry] = []
        self._sweeping: asyncio.TimerHandle | None = None

    async def ask(self, query: Query) -> bytes | None:
        """The best reply that an upstream gave, or None when none did. Never raises.

        It has the query's id, and the question in the client's own letters.
        """
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def deliver(reply: bytes | None) -> None:
            if not future.done():
                future.set_result(reply)

        self.submit(query, deliver)
        return await future

    def submit(self, query: Query, deliver: Deliver) -> None:
        """``deliver`` is called once, with the reply or None, now or later; it must not raise."""
        _, flags, name, qtype, _, edns = query
        subnet = edns.client_subnet if edns is not None and self._forward_client_subnet else b""
        do = None if edns is None else edns.do
        key = (name, qtype, flags, do, subnet)
        inquiry = self._asking.get(key)
        if inquiry is not None:
            self._coalesced.value += 1
            inquiry.join(query, deliver)
            return
        group = self._routes.find(name)
        if not group.links or len(self._asking) >= MAX_INQUIRIES:
            deliver(None)
            return
        now_s = self._monotonic()
        inquiry = Inquiry(query, key, group, self._limits, self._ended, now_s, subnet)
        self._asking[key] = inquiry
        inquiry.join(query, deliver)
        inquiry.begin(now_s)
        if self._sweeping is None:
            self._sweep_later()

    def has_own_upstreams(self, name: bytes) -> bool:
        """Whether the settings name upstreams for this very part of the tree; wire form."""
        return self._routes.has_own(name)

    def close(self) -> None:
        """Let go of every socket; who still waits gets None."""
        if self._sweeping:
            self._sweeping.cancel()
            self._sweeping = None
        for inquiry in (*self._asking.values(), *self._lingering):
            inquiry.give_up()
        self._lingering.clear()
        for link in self._links:
            link.close()

    def _ended(self, inquiry: Inquiry) -> None:
        del self._asking[inquiry.key]
        if not inquiry.is_over:
            self._lingering.append(inquiry)

    def _sweep_later(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        now_s = self._monotonic()
        self._sweeping = None
        due = [inquiry for inquiry in self._asking.values() if inquiry.due_s <= now_s]
        due += [inquiry for inquiry in self._lingering if inquiry.due_s <= now_s]
        for inquiry in due:
            inquiry.tick(now_s)
        if self._lingering:
            self._lingering = [inquiry for inquiry in self._lingering if not inquiry.is_over]
        if self._asking or self._lingering:
            self._sweep_later()


def build_forwarder(
    settings: DnsSettings, upstreams: Iterable[Upstream], metrics: Metrics
) -> Forwarder:
    """``upstreams`` are those of the settings or the system. Raises OSError for bad roots."""
    return Forwarder(
        upstreams,
        timeout_s=settings.timeout_ms / 1000,
        total_timeout_s=settings.total_timeout_ms / 1000,
        metrics=metrics,
        forward=[(entry.suffixes, entry.upstreams) for entry in settings.forward],
        options=LinkOptions(
            settings.randomise_case, settings.upstream_cookies, settings.upstream_ca_file
        ),
        forward_client_subnet=settings.forward_client_subnet,
    )
