"""What a client is told that is not served: who may not ask, or asks too often. Pure."""

from enforcer.dns.packets.message import read_query
from enforcer.dns.packets.response import Ede, build_refused, build_truncated
from enforcer.dns.packets.wire import Query, parse_query


def refuse(packet: bytes, text: str) -> bytes | None:
    """REFUSED, and for people why (RFC 8914 4.19); None for what is no query."""
    query = parse_query(packet) or read_query(packet)
    return build_refused(query, Ede.PROHIBITED, text) if isinstance(query, Query) else query


def truncate(packet: bytes) -> bytes | None:
    """Nothing but that it must come by TCP, where nobody can forge an address."""
    query = parse_query(packet) or read_query(packet)
    return build_truncated(query) if isinstance(query, Query) else query
