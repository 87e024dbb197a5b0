"""Whether a certificate is for a host (RFC 9525 6.3), as Go and rustls-webpki see it.

service_identity is stricter than either: one odd name refuses the whole certificate, and
a wildcard does not stand for an A-label. What an agent accepts must pass here too. A name
in the subject alone counts nowhere.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from enforcer.policy.names import fold


def covers(names: Iterable[str], addresses: Iterable[IPv4Address | IPv6Address], host: str) -> bool:
    """Whether one of the subject alternative names is the host, a name or an address."""
    try:
        return ip_address(host) in addresses
    except ValueError:
        return any(_matches(name, fold(host)) for name in names)


def _matches(name: str, host: str) -> bool:
    """A wildcard is the whole first label, and stands for exactly one."""
    if not name.isascii():  # the Kelvin sign in lower case is a plain k
        return False
    name = name.lower()
    first, _, parent = host.partition(".")
    return name == host or bool(first and parent and name == f"*.{parent}")
