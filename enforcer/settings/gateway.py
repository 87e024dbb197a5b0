"""``enforcer.yaml`` as Settings: where this gateway listens, stores and asks.

What is allowed stands in the policy, not here.
"""

from pydantic import Field

from enforcer.settings.dns import DnsSettings
from enforcer.settings.endpoint import Listener
from enforcer.settings.section import FilePath, Section
from enforcer.state import default_audit_path


class ListenSettings(Section):
    """Where each plane listens. Unprivileged ports by default; nftables redirects to them."""

    dns: tuple[Listener, ...] = ("127.0.0.1:5053",)
    """UDP and TCP."""
    dot: tuple[Listener, ...] = ()
    """DNS over TLS, with the certificate of ``dns.dot``."""
    proxy: tuple[Listener, ...] = ("127.0.0.1:8080",)
    """HTTP CONNECT, SOCKS5 and plain HTTP, told apart by the first byte."""
    tls: tuple[Listener, ...] = ("127.0.0.1:8443",)
    """Redirected connections (SO_ORIGINAL_DST)."""
    admin: Listener = "127.0.0.1:9053"
    """/metrics, /healthz and /readyz."""


class TlsSettings(Section):
    peek_timeout_ms: int = Field(default=5000, ge=10, le=60_000)
    """How long a client may take to say what it wants."""
    connect_timeout_ms: int = Field(default=5000, ge=10, le=60_000)
    """How long a destination may take to accept, and to present its certificate."""
    idle_timeout_seconds: int = Field(default=3600, ge=1)
    """How long a spliced connection may be silent."""
    verified_for_seconds: int = Field(default=300, ge=1)
    """How long the result of a certificate check is used."""
    max_connections: int = Field(default=20_000, ge=1)
    """How many connections the gate holds at most."""


class AuditSettings(Section):
    path: FilePath = Field(default_factory=default_audit_path)
    """The SQLite store; when left out, audit.db in the service's or user's state directory."""
    flush_interval_ms: int = Field(default=1000, ge=10, le=60_000)
    """What a SIGKILL can lose at most."""


class Settings(Section):
    """One gateway."""

    policy: FilePath | None = None
    """The policy file; when left out, the policy that ships."""
    listen: ListenSettings = ListenSettings()
    dns: DnsSettings = DnsSettings()
    tls: TlsSettings = TlsSettings()
    audit: AuditSettings = Field(default_factory=AuditSettings)
    drain_seconds: int = Field(default=10, ge=0)
    """How long open connections may go on after SIGTERM."""
