"""The ``dns`` section: whom the DNS plane asks, and how it serves."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from enforcer.policy.names import fold, parse_host
from enforcer.settings.section import FilePath, Section
from enforcer.settings.serving import PRIVATE_RANGES, DotSettings, Range
from enforcer.settings.transfer import TransferSettings
from enforcer.settings.upstream import UpstreamField


def _suffix(value: Any) -> Any:
    text = fold(str(value)).removeprefix("*.").removeprefix(".")
    return parse_host(text)


Suffix = Annotated[str, BeforeValidator(_suffix), WithJsonSchema({"type": "string"})]


class ForwardSettings(Section):
    """Names that others are asked for than the rest: split horizon, reverse zones."""

    suffixes: tuple[Suffix, ...] = Field(min_length=1)
    """Names; each stands for itself and everything below it. The longest one that fits counts."""
    upstreams: tuple[UpstreamField, ...] = Field(min_length=1)
    """Who is asked for them, and nobody else."""


class CacheSettings(Section):
    """Answers of upstreams that are given again. The policy is asked each time."""

    size_mb: int = Field(default=64, ge=1, le=65_536)
    """How much memory they take at most."""
    min_ttl_seconds: int = Field(default=0, ge=0, le=3600)
    """Answers are kept at least so long, whatever their TTL says."""
    max_ttl_seconds: int = Field(default=86_400, ge=1)
    """And at most so long."""
    max_negative_ttl_seconds: int = Field(default=3600, ge=1)
    """The same for names and types that do not exist."""
    stale_seconds: int = Field(default=86_400, ge=0)
    """How long after its end an answer is still given when no upstream answers; 0: never."""


class DnsSettings(Section):
    upstreams: tuple[UpstreamField, ...] = ()
    """Resolvers that are asked; when empty, those of /etc/resolv.conf."""
    workers: int = Field(default=0, ge=0, le=256)
    """Processes that serve DNS on the same ports; 0: the main process does it."""
    cache: CacheSettings = CacheSettings()
    forward: tuple[ForwardSettings, ...] = ()
    """Names for which other upstreams are asked."""
    timeout_ms: int = Field(default=2000, ge=10, le=60_000)
    """How long one upstream may take."""
    total_timeout_ms: int = Field(default=5000, ge=10, le=120_000)
    """How long a query may take, whoever is asked."""
    randomise_case: bool = True
    """Whether upstreams are asked in randomly chosen letter case over UDP (0x20)."""
    upstream_cookies: bool = True
    """Whether upstreams are sent DNS cookies (RFC 7873)."""
    forward_client_subnet: bool = False
    """Whether the Client Subnet option of a client is passed on to upstreams (RFC 7871)."""
    upstream_ca_file: FilePath | None = None
    """Roots for upstreams by TLS and HTTPS, in PEM; when left out, those of the system."""
    allow_from: tuple[Range, ...] = PRIVATE_RANGES
    """Clients that are answered; all others are refused. The private ranges by default."""
    rate_limit_per_second: int = Field(default=0, ge=0)
    """Queries that one client may ask in the long run; 0 is no limit."""
    require_cookies: bool = False
    """Whether a client that sends a DNS cookie over UDP is answered only with one of ours."""
    minimal_any: bool = False
    """Whether a query of type ANY over UDP gets the answer of RFC 8482 instead of what there is."""
    proxy_protocol_from: tuple[Range, ...] = ()
    """Proxies that must say by PROXY protocol, version 2, for which client they ask."""
    dot: DotSettings | None = None
    """Certificate and key for ``listen.dot``."""
    tcp_idle_ms: int = Field(default=10_000, ge=100, le=600_000)
    """How long a connection may be open without a query."""
    tcp_max_connections: int = Field(default=1000, ge=1)
    """How many connections are held at most, TCP and TLS together."""
    tcp_max_connections_per_client: int = Field(default=100, ge=1)
    """How many of them one client may have. Proxies may have all."""
    transfers: tuple[TransferSettings, ...] = ()
    """Policy zones that are fetched from a primary, and kept up to date."""
