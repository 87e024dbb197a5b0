"""What the ``dns`` section says of clients: who may ask, over what, and how much."""

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from enforcer.policy.addresses import parse_network
from enforcer.settings.section import FilePath, Section

# Loopback, RFC 1918, RFC 6598 (behind a carrier's NAT), link-local, and RFC 4193.
PRIVATE_RANGES = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)


def _range(value: Any) -> Any:
    return parse_network(str(value))


Range = Annotated[
    Any, BeforeValidator(_range), PlainSerializer(str), WithJsonSchema({"type": "string"})
]


class DotSettings(Section):
    """What DNS over TLS shows its clients. A changed file counts from the next client on."""

    certificate: FilePath
    """The certificate, and those that lead to its root, in PEM."""
    key: FilePath
    """Its key in PEM, without a password."""
