"""The general road for queries that ``wire`` does not take, read with dnslib.

A query that turns out to be usable goes on like any other; the rest gets the error
that its RFC asks for, or nothing. Never raises, whatever the bytes.
"""

import struct

from dnslib import DNSError, DNSRecord

from enforcer.dns.response import build_bad_version, build_header_only, build_refused
from enforcer.dns.wire import ANY, EDNS_DO, HEADER, IN, OPCODE, OPT, QR, Edns, Query, is_data_type
from enforcer.policy.names import MAX_WIRE_BYTES, fold_wire

FORMERR, NOTIMP = 1, 4
# All that dnslib lets out for bytes that are no message (it wraps most in DNSError).
_UNREADABLE = (DNSError, ValueError, LookupError, TypeError, AttributeError, struct.error)


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
    if questions != 1:
        return build_header_only(ident, flags, FORMERR)
    try:
        return _read(packet, ident, flags)
    except _UNREADABLE:
        return build_header_only(ident, flags, FORMERR)


def _read(packet: bytes, ident: int, flags: int) -> Query | bytes:
    record = DNSRecord.parse(packet)
    labels = [bytes(label) for label in record.q.qname.label]
    written = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(written) > MAX_WIRE_BYTES:
        return build_header_only(ident, flags, FORMERR)
    question = written + struct.pack("!HH", record.q.qtype, record.q.qclass)
    opts = [extra for extra in record.ar if extra.rtype == OPT]
    # RFC 6891 6.1.1: at most one.
    if len(opts) > 1:
        return build_header_only(ident, flags, FORMERR)
    edns = Edns(opts[0].rclass, bool(opts[0].ttl & EDNS_DO)) if opts else None
    query = Query(ident, flags, fold_wire(written), record.q.qtype, question, edns)
    if opts and opts[0].ttl >> 16 & 0xFF:
        return build_bad_version(query)
    if record.q.qclass not in (IN, ANY) or not is_data_type(record.q.qtype):
        return build_refused(query)
    return query
