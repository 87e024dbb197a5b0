"""An address and a port, as settings write them."""

import re
from ipaddress import ip_address
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from enforcer.policy.model import MAX_PORT

DNS_PORT = 53
_ENDPOINT = re.compile(r"(?:\[([^\]]*)\]|([^:]*)):([0-9]{1,20})")


class PortError(ValueError):
    """An address with a port that there is not."""


class Endpoint(NamedTuple):
    """An address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str, default_port: int | None = None) -> Endpoint:
    """``192.0.2.1:53``, ``[2001:db8::1]:53``, or without the port where there is a default.

    Raises ValueError, PortError where it is only the port.
    """
    found = _ENDPOINT.fullmatch(text)
    try:
        if found is None:
            endpoint = Endpoint(str(ip_address(text)), -1 if default_port is None else default_port)
        else:
            endpoint = Endpoint(str(ip_address(found[1] or found[2])), int(found[3]))
    except ValueError:
        endpoint = None
    if endpoint is not None and endpoint.port > MAX_PORT:
        raise PortError(f"{text!r} has port {endpoint.port}; ports go up to {MAX_PORT}")
    if endpoint is None or endpoint.port < 0:
        raise ValueError(
            f"{text!r} is not an address with a port; write it as 192.0.2.1:53 or [2001:db8::1]:53"
        )
    return endpoint


def cannot_listen(key: str, endpoint: Endpoint, error: OSError) -> str:
    """The sentence for a person, with the key of the settings that it stands at."""
    reason = error.strerror or error
    return f"cannot listen on {endpoint}: {reason}; change listen.{key} in the settings"


def _listener(value: Any) -> Any:
    return parse_endpoint(str(value))


Listener = Annotated[
    Any, BeforeValidator(_listener), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
