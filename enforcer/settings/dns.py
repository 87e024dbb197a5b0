"""The ``dns`` section: whom the DNS plane asks, and how it serves."""

from pydantic import Field

from enforcer.settings.endpoint import Upstream
from enforcer.settings.section import Section


class DnsSettings(Section):
    upstreams: tuple[Upstream, ...] = ()
    """Resolvers that are asked; when empty, those of /etc/resolv.conf."""
    timeout_ms: int = Field(default=2000, ge=10, le=60_000)
    """How long one upstream may take before the next is asked."""
