"""Whether a connection would come back to one of the gateway's own listeners.

A proxy that dials itself goes round until no descriptor is left, and what comes in by
such a way has the gateway's own address as its client.
"""

import socket
from collections.abc import Iterable, Mapping

from enforcer.policy.addresses import parse_address
from enforcer.policy.model import Address
from enforcer.settings.endpoint import Endpoint

# By plane, as Service fills it while it binds.
Listening = Mapping[str, Iterable[Endpoint]]


def is_own_door(listening: Listening, address: Address, port: int | None) -> bool:
    """Whether a listener of ours takes connections to ``address``, through a wildcard too.

    The kernel is asked only when the port is one of ours.
    """
    hosts = [
        parse_address(door.host)
        for doors in listening.values()
        for door in doors
        if door.port == port
    ]
    if not hosts:
        return False
    if address in hosts:
        return True
    # Dialling 0.0.0.0 is dialling 127.0.0.1; a wildcard takes every address of this host.
    everywhere = any(host.is_unspecified for host in hosts)
    if address.is_unspecified:
        return everywhere or any(host.is_loopback for host in hosts)
    return everywhere and is_local(address)


def is_local(address: Address) -> bool:
    """Whether ``address`` is this host's own, now. Sends nothing.

    The kernel's route says it: from a host to itself, source and destination are the same.
    A bind would say yes to any address where ip_nonlocal_bind is set. Loopback is always
    local, and is reached from 127.0.0.1 whatever its number.
    """
    if address.is_loopback:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004 IPv6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((str(address), 9))  # any port but 0
            return parse_address(asked.getsockname()[0]) == address
    except OSError:
        return False  # no route, or no such family: not here
