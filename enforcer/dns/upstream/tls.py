"""TLS towards upstreams: the name is verified, and a session is taken up again where it can be."""

import ssl
from pathlib import Path
from typing import Any

from enforcer.settings.upstream import Transport

# RFC 7858 has none; RFC 7540 3.1.
_ALPN = {Transport.TLS: ["dot"], Transport.HTTPS: ["h2"]}


class ResumingContext(ssl.SSLContext):
    """Offers the last session to the server (RFC 8446 2.2). One for each upstream."""

    session: ssl.SSLSession | None = None

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        # asyncio has no argument for the session; this is where it makes the connection's TLS.
        if self.session is not None:
            kwargs["session"] = self.session
        return super().wrap_bio(*args, **kwargs)

    def keep_session(self, tls: ssl.SSLObject) -> None:
        """To be called when something was received: tickets come after the handshake."""
        if tls.session is not None and tls.session.has_ticket:
            self.session = tls.session


def build_tls_context(transport: Transport, ca_file: Path | None) -> ResumingContext:
    """Verifies chain and name. Raises OSError when ``ca_file`` cannot be used."""
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN[transport])
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_file)
    return context
