"""One upstream as it is seen from here: the ways to it, its health, its cookies, its counts."""

import logging
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from enforcer.dns.packets.wire import Edns
from enforcer.dns.upstream.attempt import Channel, Ending
from enforcer.dns.upstream.cookies import CLIENT_COOKIE_BYTES, UpstreamCookies
from enforcer.dns.upstream.health import UNHELPFUL_IN_A_ROW, Health
from enforcer.dns.upstream.outage import Outage, Trouble
from enforcer.dns.upstream.query import Randomness, build_upstream_opt
from enforcer.dns.upstream.reply_match import Mismatch
from enforcer.dns.upstream.stream import StreamChannel
from enforcer.dns.upstream.stream_framing import Framing, LengthFraming
from enforcer.dns.upstream.tls import build_tls_context
from enforcer.dns.upstream.udp import UdpChannel
from enforcer.metrics import Metrics
from enforcer.settings.upstream import Transport, Upstream

log = logging.getLogger(__name__)

LOST_CASE: Final = 2
"""After so many replies that are right but for the case of letters, that is how it is."""
ASKED_OVER_TCP_S: Final = 600.0
ASKED_PLAINLY_S: Final = 600.0


# Without options, by the client's DO.
_OPTS: Final[tuple[bytes, ...]] = (build_upstream_opt(do=False), build_upstream_opt(do=True))
_SUBNET: Final = 8  # RFC 7871 6
_SUBNET_HEAD: Final = struct.Struct("!HH")


class LinkOptions(NamedTuple):
    """What the settings say of all upstreams alike."""

    randomise_case: bool = True
    cookies: bool = True
    ca_file: Path | None = None


class UpstreamLink:
    """``first`` is the way that the settings name, ``stream`` the one for what UDP cannot do."""

    def __init__(
        self,
        upstream: Upstream,
        first: Channel,
        stream: Channel,
        metrics: Metrics,
        random: Randomness,
        *,
        cookies: bool,
    ) -> None:
        label = str(upstream)
        metrics.dns_upstream_queries.extend("upstream", label)
        metrics.dns_upstream_rtt.extend("upstream", label)
        metrics.dns_upstream_healthy.extend("upstream", label)
        self.upstream = upstream
        self.health = Health()
        self._outage = Outage(upstream)
        self.endings = {
            ending: metrics.dns_upstream_queries.cell(label, ending.value) for ending in Ending
        }
        self.answered = self.endings[Ending.ANSWERED]
        self._rtt = metrics.dns_upstream_rtt.cell(label)
        self._healthy = metrics.dns_upstream_healthy.cell(label)
        self._healthy.value = 1
        self.cookies: UpstreamCookies | None = None
        self._first = first
        self._stream = stream
        self._random = random
        self._wants_cookies = cookies and upstream.transport is Transport.UDP
        self._lost_case = 0
        self._over_tcp_until_s = 0.0
        self._plain_until_s = 0.0

    def channel(self, now_s: float, *, over_stream: bool) -> Channel:
        if over_stream or now_s < self._over_tcp_until_s:
            return self._stream
        return self._first

    @property
    def has_stream_beside(self) -> bool:
        return self._stream is not self._first

    def is_beside(self, channel: Channel) -> bool:
        """Whether a channel is not the way that the settings name."""
        return channel is not self._first

    def opt(self, now_s: float, edns: Edns | None, subnet: bytes) -> bytes:
        """The OPT to send, or nothing; ``edns`` is what the client sent."""
        do = edns is not None and edns.do
        if now_s < self._plain_until_s and not do:
            return b""
        if not self._wants_cookies:
            opts, options = _OPTS, b""
        else:
            cookies = self.cookies
            if cookies is None or cookies.expired(now_s):
                client_cookie = self._random.take(CLIENT_COOKIE_BYTES)
                cookies = self.cookies = UpstreamCookies(client_cookie, now_s)
            opts, options = cookies.opts, cookies.option
        if not subnet:
            return opts[do] if options or edns is not None else b""
        option = _SUBNET_HEAD.pack(_SUBNET, len(subnet)) + subnet
        return build_upstream_opt(do=do, options=option + options)

    def was_heard(self, rtt_s: float | None) -> None:
        """``rtt_s`` is None where it would say nothing of the way that is asked first."""
        health = self.health
        self._lost_case = 0
        health.replied(rtt_s)
        self._healthy.value = 1
        self._rtt.value = health.rtt_s or 0
        if self._outage.told is not None:
            self._outage.is_over()

    def was_unhelpful(self, now_s: float) -> None:
        self.health.was_unhelpful(now_s)
        if self.health.is_well:
            self._healthy.value = 1
            return
        self._healthy.value = 0
        if self.health.is_unhelpful:
            detail = f"{UNHELPFUL_IN_A_ROW} times in a row"
            self._outage.goes_on(Trouble.UNHELPFUL, detail, now_s)

    def has_failed(self, channel: Channel, ending: Ending, now_s: float) -> None:
        """That TCP fails says something of an upstream only if it is asked over nothing else."""
        self.endings[ending].value += 1
        if channel is self.channel(now_s, over_stream=False):
            self.health.failed(now_s)
            self._healthy.value = 0
            if ending is Ending.UNTRUSTED:
                self._outage.goes_on(Trouble.UNTRUSTED, channel.distrust, now_s)
            else:
                self._outage.goes_on(Trouble.SILENT, ending.value, now_s)

    def does_not_know_edns(self, now_s: float) -> None:
        """Without OPT it answers what with OPT was no good."""
        self._plain_until_s = now_s + ASKED_PLAINLY_S

    def lost_case(self, now_s: float) -> None:
        """It repeated a question in other letters; if it always does, it is asked over TCP."""
        self._lost_case += 1
        if self._lost_case < LOST_CASE or now_s < self._over_tcp_until_s:
            return
        log.warning(
            "the upstream %s does not repeat questions as they were asked; it is asked over TCP "
            "for the next %d s; if it always does so, set dns.randomise_case to false",
            self.upstream,
            ASKED_OVER_TCP_S,
        )
        self._lost_case = 0
        self._over_tcp_until_s = now_s + ASKED_OVER_TCP_S

    def close(self) -> None:
        self._first.close()
        self._stream.close()


def build_link(
    upstream: Upstream,
    options: LinkOptions,
    metrics: Metrics,
    random: Randomness,
    monotonic: Callable[[], float],
) -> UpstreamLink:
    """Raises OSError when the roots cannot be read."""
    ignored = _counter(metrics)
    build = partial(StreamChannel, upstream, ignored=ignored, random=random, monotonic=monotonic)
    tls = None
    framing: Callable[[], Framing] = LengthFraming
    if upstream.transport in (Transport.TLS, Transport.HTTPS):
        tls = build_tls_context(upstream.transport, options.ca_file)
    if upstream.transport is Transport.HTTPS:
        # Imported for those who use it: HTTP/2 has tables.
        from enforcer.dns.upstream.https_framing import HttpsFraming  # noqa: PLC0415

        framing = partial(HttpsFraming, upstream.name, upstream.path)
    stream = build(build_framing=framing, tls=tls)
    first: Channel = stream
    if upstream.transport is Transport.UDP:
        first = UdpChannel(
            upstream.endpoint, ignored, random, monotonic, randomise=options.randomise_case
        )
    return UpstreamLink(upstream, first, stream, metrics, random, cookies=options.cookies)


def _counter(metrics: Metrics) -> Callable[[Mismatch], None]:
    cells = {mismatch: metrics.dns_upstream_ignored.cell(mismatch.value) for mismatch in Mismatch}

    def ignored(mismatch: Mismatch) -> None:
        cells[mismatch].value += 1

    return ignored
