"""The general road, for queries that ``wire`` does not take.

A query that turns out to be usable goes on like any other; the rest gets the error that
its RFC asks for, or nothing. Never raises, whatever the bytes.

What is expected where: RFC 8906 8.
"""

from enforcer.dns.packets.opt import OptRecord, find_opts
from enforcer.dns.packets.response import (
    build_bad_opt,
    build_bad_version,
    build_header_only,
    build_refused,
)
from enforcer.dns.packets.wire import (
    AD,
    ANY,
    CD,
    CLIENT_SUBNET_OPTION,
    COOKIE_OPTION,
    EDNS_DO,
    HEADER,
    IN,
    OPCODE,
    QR,
    RD,
    Edns,
    Query,
    is_cookie,
    is_data_type,
)
from enforcer.policy.names import MAX_LABEL_BYTES, MAX_WIRE_BYTES, fold_wire

FORMERR, NOTIMP = 1, 4
_TYPE_AND_CLASS_BYTES = 4


def read_query(packet: bytes) -> Query | bytes | None:
    """The query, or the answer that refuses it, or None where there is nothing to answer."""
    if len(packet) < HEADER.size:
        return None
    ident, flags, questions, *_ = HEADER.unpack_from(packet)
    if flags & QR:
        return None
    if flags & OPCODE:
        return build_header_only(ident, flags, NOTIMP)
    # RFC 9619: a query has one question.
    name = _read_name(packet) if questions == 1 else None
    opts = find_opts(packet) if name else None
    if name is None or opts is None:
        return build_header_only(ident, flags, FORMERR)
    end = HEADER.size + len(name) + _TYPE_AND_CLASS_BYTES
    qtype, qclass = (int.from_bytes(packet[at : at + 2], "big") for at in (end - 4, end - 2))
    question = packet[HEADER.size : end]
    # Of the flags only these three ask for something; the others do not come back.
    query = Query(ident, flags & (RD | AD | CD), fold_wire(name), qtype, question, None)
    if opts:
        edns = Edns(opts[0].size_bytes, bool(opts[0].extended & EDNS_DO))
        query = query._replace(edns=edns)
        if len(opts) > 1:
            return build_bad_opt(query)
        if opts[0].version:
            # What options mean there is not known (RFC 6891 6.1.3).
            return build_bad_version(query)
        known = _read_options(edns, opts[0])
        if known is None:
            return build_bad_opt(query)
        query = query._replace(edns=known)
    if qclass not in (IN, ANY) or not is_data_type(qtype):
        return build_refused(query)
    return query


def _read_name(packet: bytes) -> bytes | None:
    """The first question's name as written; there is nothing before it to point to."""
    at = HEADER.size
    while at < len(packet) and (length := packet[at]):
        if length > MAX_LABEL_BYTES:
            return None
        at += 1 + length
    end = at + 1
    if end + _TYPE_AND_CLASS_BYTES > len(packet) or end - HEADER.size > MAX_WIRE_BYTES:
        return None
    return packet[HEADER.size : end]


def _read_options(edns: Edns, opt: OptRecord) -> Edns | None:
    """None where options are cut off, or the cookie is none. Of two of a code the first counts."""
    found: dict[int, bytes] = {}
    for code, data in opt.options():
        found.setdefault(code, data)
    cookie = found.get(COOKIE_OPTION, b"")
    if not opt.is_whole or (COOKIE_OPTION in found and not is_cookie(cookie)):
        return None
    return edns._replace(cookie=cookie, client_subnet=found.get(CLIENT_SUBNET_OPTION, b""))
