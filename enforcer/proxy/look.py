"""A name's certificates, seen once and from outside the gateway's loop.

For the command line; the gate has addresses, and its own Verifier.
"""

import asyncio
import socket
from contextlib import suppress

from enforcer.policy.addresses import parse_address
from enforcer.policy.model import Address
from enforcer.proxy.probe import ProbeError, fetch_chain


def look(
    host: str, port: int, address: Address | None, timeout_s: float
) -> tuple[tuple[bytes, ...], Address]:
    """The chain at the first address of ``host`` that presents one, and that address.

    Raises ProbeError.
    """
    return asyncio.run(_look(host, port, address, timeout_s))


async def _look(
    host: str, port: int, address: Address | None, timeout_s: float
) -> tuple[tuple[bytes, ...], Address]:
    try:
        async with asyncio.timeout(timeout_s):
            addresses = [address] if address else await _resolve(host, port)
            for candidate in addresses[:-1]:
                with suppress(ProbeError):
                    return await fetch_chain(candidate, port, host), candidate
            return await fetch_chain(addresses[-1], port, host), addresses[-1]
    except TimeoutError:
        raise ProbeError(f"no answer within {timeout_s:g} s") from None


async def _resolve(host: str, port: int) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ProbeError(f"{host} has no address: {error.strerror or error}") from None
    return list(dict.fromkeys(parse_address(str(sockaddr[0])) for *_, sockaddr in found))
