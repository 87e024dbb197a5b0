"""An upstream resolver as settings write it: where it is, what it speaks, who it must be.

    192.0.2.53, 192.0.2.53:5353                UDP, and TCP for what that does not hold
    tcp://192.0.2.53                           TCP only
    tls://192.0.2.53:853#dns.example           DNS over TLS (RFC 7858)
    https://192.0.2.53/dns-query#dns.example   DNS over HTTPS (RFC 8484)

The address stands in the setting, since there is nobody else to ask for it; after the
``#`` stands the name that the certificate must be for.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from enforcer.policy.names import parse_host
from enforcer.settings.endpoint import DNS_PORT, Endpoint, PortError, parse_endpoint

_URL: Final = re.compile(r"([A-Za-z0-9+.-]+)://([^/#]*)(/[^#]*)?(?:#(.*))?")
_PATH: Final = re.compile(r"/[\x21-\x7e]*")
_DEFAULT_PATH: Final = "/dns-query"


class Transport(StrEnum):
    """What an upstream is spoken to with."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    HTTPS = "https"


_PORTS: Final = {
    Transport.UDP: DNS_PORT,
    Transport.TCP: DNS_PORT,
    Transport.TLS: 853,
    Transport.HTTPS: 443,
}
_ENCRYPTED: Final = (Transport.TLS, Transport.HTTPS)


class Upstream(NamedTuple):
    """One upstream. ``name`` and ``path`` are those of TLS and HTTPS, else empty."""

    host: str
    port: int = DNS_PORT
    transport: Transport = Transport.UDP
    name: str = ""
    path: str = ""

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.host, self.port)

    def __str__(self) -> str:
        """As settings write it, with the port."""
        if self.transport is Transport.UDP:
            return str(self.endpoint)
        name = f"#{self.name}" if self.name else ""
        return f"{self.transport.value}://{self.endpoint}{self.path}{name}"


def parse_upstream(text: str) -> Upstream:
    """Raises ValueError with a sentence, and after a semicolon what would be right."""
    found = _URL.fullmatch(text)
    if found is None:
        return _at(text, text, Transport.UDP)
    scheme, where, path, name = found.groups()
    try:
        transport = Transport(scheme.lower())
    except ValueError:
        raise ValueError(
            f"{text!r} starts with {scheme}://; write tcp://, tls:// or https://, or no scheme "
            "for UDP"
        ) from None
    upstream = _at(text, where, transport)
    if path and path != "/" and transport is not Transport.HTTPS:
        raise ValueError(f"{text!r} has a path; remove {path}, only https:// has one")
    if transport not in _ENCRYPTED:
        if name is not None:
            raise ValueError(
                f"{text!r} has a name, which {transport.value} cannot verify; "
                f"remove #{name}, or write tls://"
            )
        return upstream
    if not name:
        raise ValueError(
            f"{text!r} does not say for which name its certificate must be; "
            "add it after a #, as in tls://192.0.2.53:853#dns.example"
        )
    upstream = upstream._replace(name=parse_host(name))
    if transport is Transport.HTTPS:
        path = path if path and path != "/" else _DEFAULT_PATH
        if not _PATH.fullmatch(path):
            raise ValueError(f"{text!r} has a path that no URL has; write it percent-encoded")
        upstream = upstream._replace(path=path)
    return upstream


def _at(text: str, where: str, transport: Transport) -> Upstream:
    bare = where.removeprefix("[").removesuffix("]") if where.endswith("]") else where
    try:
        endpoint = parse_endpoint(bare, _PORTS[transport])
    except PortError:
        raise
    except ValueError:
        raise ValueError(
            f"{text!r} is not an upstream: {where!r} is not an address; write it as 192.0.2.53, "
            "192.0.2.53:5353, [2001:db8::53]:53, tls://192.0.2.53#dns.example or "
            "https://192.0.2.53/dns-query#dns.example"
        ) from None
    if not endpoint.port:
        raise ValueError(f"{text!r} has port 0, where nobody listens; write {_PORTS[transport]}")
    return Upstream(*endpoint, transport)


def _validated(value: Any) -> Any:
    return value if isinstance(value, Upstream) else parse_upstream(str(value))


UpstreamField = Annotated[
    Any, BeforeValidator(_validated), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
