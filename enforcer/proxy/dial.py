"""A connection to a destination that the policy let pass, or what to tell the client."""

import asyncio
import errno
import os
from typing import NamedTuple

from enforcer.policy.model import Address
from enforcer.proxy import entrances
from enforcer.proxy.collector import Collector
from enforcer.proxy.entrances import ProxyError

_UNROUTABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL})


class NoAnswer(NamedTuple):
    """Why there is no connection: for the client, for a person, and for the metric."""

    error: ProxyError
    details: str
    metric: str


async def dial(address: Address, port: int, timeout_s: float) -> Collector | NoAnswer:
    """Connect. What a server says before anybody asks waits in the Collector."""
    loop = asyncio.get_running_loop()
    target = f"{address} port {port}"
    try:
        async with asyncio.timeout(timeout_s):
            # It reads no further than its first bytes: uvloop cannot be kept from those.
            _, collector = await loop.create_connection(lambda: Collector(0), str(address), port)
    except TimeoutError:
        details = f"{target} does not answer"
        return NoAnswer(entrances.CONNECTION_TIMEOUT, details, "upstream_timeout")
    except OSError as error:
        kind = entrances.UNROUTABLE if error.errno in _UNROUTABLE else entrances.CONNECTION_REFUSED
        # The error's own text differs between event loops, and may repeat the address.
        why = os.strerror(error.errno) if error.errno else str(error)
        return NoAnswer(kind, f"{target} cannot be reached: {why}", "upstream_unreachable")
    return collector
