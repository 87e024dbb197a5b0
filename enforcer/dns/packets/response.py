"""Answers built from bytes: blocked, failed, passed on, truncated.

Each carries the client's own question, in the client's own letters, and an OPT where
the client sent one. An Extended DNS Error (RFC 8914) says why, for people.
"""

import struct
from enum import IntEnum
from ipaddress import IPv4Address
from itertools import accumulate
from typing import Final, NamedTuple

from enforcer.dns.packets.wire import (
    AAAA,
    AD,
    ANY,
    CD,
    COOKIE_OPTION,
    EDNS_DO,
    HEADER,
    IN,
    OPCODE,
    OPT,
    QR,
    RA,
    RCODE,
    RD,
    TC,
    A,
    Query,
)
from enforcer.policy.model import Address, LocalRecord, Refusal, Verdict

# How soon a name that was unblocked is looked up again. BIND's max-policy-ttl, too.
BLOCKED_TTL_S: Final = 5
# What goes over UDP at most, both ways: no fragments (DNS flag day 2020).
MAX_UDP_BYTES: Final = 1232
MAX_MESSAGE_BYTES: Final = 0xFFFF  # RFC 1035 4.2.2: over TCP the length has two bytes
MIN_UDP_BYTES: Final = 512  # RFC 1035 2.3.4
# Room for a rule, its reason and the Connect URL to use; far within MAX_UDP_BYTES.
MAX_TEXT_BYTES: Final = 300
_FORMERR, _SERVFAIL, _NXDOMAIN, _REFUSED = 1, 2, 3, 5
_BAD_VERSION: Final = 16
_BAD_COOKIE: Final = 23
_EXTENDED_RCODE_AT: Final = 5  # in an OPT record (RFC 6891 6.1.3)
_HINFO: Final = 13
_MINIMAL_ANY: Final = LocalRecord(_HINFO, 3600, b"\x07RFC8482\0")
_SOA: Final = 6
_EDE_OPTION: Final = 15  # RFC 8914 2
# Of a reply's flags; the others are about the way from upstream to us.
_PASSED_ON: Final = QR | TC | AD | RCODE
_OPT_HEAD: Final = struct.Struct("!BHHIH")
_OPTION_HEAD: Final = struct.Struct("!HH")
_RECORD_HEAD: Final = struct.Struct("!HHHIH")
_QUESTION_POINTER: Final = 0xC000 | HEADER.size
# Who says so: MNAME enforcer.invalid, RNAME hostmaster.enforcer.invalid (RFC 2606 2),
# serial, refresh, retry, expire, minimum.
_SOA_DATA: Final = (
    b"\x08enforcer\x07invalid\0"
    b"\x0ahostmaster\x08enforcer\x07invalid\0"
    + struct.pack("!5I", 1, 3600, 600, 86400, BLOCKED_TTL_S)
)


class Ede(IntEnum):
    """Info codes of RFC 8914 4 that we send."""

    STALE_ANSWER = 3
    NOT_READY = 14
    BLOCKED = 15  # by a policy of the operator of this server
    PROHIBITED = 18  # this client may not ask here
    NO_REACHABLE_AUTHORITY = 22
    INVALID_DATA = 24


class LocalAnswer(NamedTuple):
    """What is answered: records of the name that was asked for, or none.

    Without records the SOA goes into the authority section, with ``zone`` as its owner.
    """

    nxdomain: bool
    records: tuple[LocalRecord, ...]
    zone: bytes
    soa: LocalRecord


def build_blocked(query: Query, verdict: Verdict, text: str) -> bytes:
    """The answer for a blocked name; ``text`` says why, for people.

    For refusals that are answers in full: not those that drop, truncate or lead elsewhere.
    Negative ones have a SOA, to be cached by (RFC 2308 5).
    """
    opt = build_opt(query, build_ede(Ede.BLOCKED, text)) if query.edns is not None else b""
    match verdict.refusal:
        case Refusal.REFUSED:
            return _build(query, _REFUSED, opt=opt)
        case Refusal.NXDOMAIN:
            return _build(query, _NXDOMAIN, authority=_build_soa(query), opt=opt)
        case Refusal.SINKHOLE:
            records = [
                LocalRecord(_address_type(address), BLOCKED_TTL_S, address.packed)
                for address in verdict.sinkhole
            ]
        case Refusal.LOCAL_DATA:
            records = list(verdict.records)
        case _:
            records = []
    fitting = [
        _build_record(_QUESTION_POINTER, record)
        for record in records
        if query.qtype in (record.rtype, ANY)
    ]
    room = MAX_MESSAGE_BYTES - HEADER.size - len(query.question) - len(opt)
    if fitting and sum(map(len, fitting)) > room:
        # No message holds all that the policy says: the first ones, as many as there is room for.
        ends = accumulate(map(len, fitting))
        fitting = [record for record, end in zip(fitting, ends, strict=True) if end <= room]
    if fitting:
        return _build(query, 0, fitting, opt=opt)
    return _build(query, 0, authority=_build_soa(query), opt=opt)


def build_local(query: Query, local: LocalAnswer) -> bytes:
    """The answer for a name that is answered here; negative ones with its zone's SOA."""
    rcode = _NXDOMAIN if local.nxdomain else 0
    opt = build_opt(query)
    if local.records:
        records = [_build_record(_QUESTION_POINTER, record) for record in local.records]
        return _build(query, rcode, records, opt=opt)
    soa = local.zone + _build_record(0, local.soa)[2:]
    return _build(query, rcode, authority=soa, opt=opt)


def build_minimal_any(query: Query) -> bytes:
    """The answer to ANY that says nothing, for who cannot show its address (RFC 8482 4.2)."""
    return _build(query, 0, [_build_record(_QUESTION_POINTER, _MINIMAL_ANY)], opt=build_opt(query))


def build_bad_cookie(query: Query) -> bytes:
    """BADCOOKIE, with a cookie that is better (RFC 7873 5.2.3)."""
    opt = bytearray(build_opt(query))
    opt[_EXTENDED_RCODE_AT] = _BAD_COOKIE >> 4
    return _build(query, _BAD_COOKIE & 0xF, opt=bytes(opt))


def build_failure(query: Query, ede: Ede, text: str) -> bytes:
    """SERVFAIL."""
    return _build(query, _SERVFAIL, opt=build_opt(query, build_ede(ede, text)))


def build_refused(query: Query, ede: Ede | None = None, text: str = "") -> bytes:
    """REFUSED, for a question or a client that this server has nothing to do with."""
    return _build(query, _REFUSED, opt=build_opt(query, _error(ede, text)))


def _error(ede: Ede | None, text: str) -> bytes:
    return b"" if ede is None else build_ede(ede, text)


def build_bad_version(query: Query) -> bytes:
    """BADVERS: this speaks EDNS version 0 (RFC 6891 6.1.3)."""
    extended = (_BAD_VERSION >> 4) << 24
    if query.edns and query.edns.do:
        extended |= EDNS_DO
    opt = _OPT_HEAD.pack(0, OPT, MAX_UDP_BYTES, extended, 0)
    return _build(query, _BAD_VERSION & 0xF, opt=opt)


def build_bad_opt(query: Query) -> bytes:
    """FORMERR with an OPT: EDNS is known here, this one cannot be read (RFC 6891 6.1.1, 7)."""
    return _build(query, _FORMERR, opt=build_opt(query))


def build_header_only(ident: int, flags: int, rcode: int) -> bytes:
    """An error for a query whose question could not be used.

    RD and RA mean something for QUERY alone, whose opcode is 0 (RFC 1035 4.1.1).
    """
    kept = flags & OPCODE or RA | flags & RD
    return HEADER.pack(ident, QR | kept | rcode, 0, 0, 0, 0)


def pass_on_flags(flags: int, query: Query) -> int:
    """A reply's header flags, as they go to the client that asked ``query``.

    RD and CD are the client's (RFC 1035 4.1.1, RFC 4035 3.2.2), RA is ours, and AA nobody's:
    we are no authority. AD goes only to who asked for it, by AD or DO (RFC 6840 5.8).
    """
    flags = flags & _PASSED_ON | RA | query.flags & (RD | CD)
    if query.flags & AD or (query.edns is not None and query.edns.do):
        return flags
    return flags & ~AD


def add_opt(query: Query, response: bytes, options: bytes = b"") -> bytes:
    """The response, which has none yet, with our OPT, if the client sent one and it fits."""
    opt = build_opt(query, options)
    if not opt or len(response) + len(opt) > MAX_MESSAGE_BYTES:
        return response
    additionals = (response[10] << 8 | response[11]) + 1
    return b"".join((response[:10], additionals.to_bytes(2, "big"), response[HEADER.size :], opt))


def build_truncated(query: Query) -> bytes:
    """An answer that only says: ask over TCP."""
    opt = build_opt(query)
    flags = QR | RA | TC | query.flags & (RD | CD)
    return HEADER.pack(query.id, flags, 1, 0, 0, bool(opt)) + query.question + opt


def fit_udp(query: Query, response: bytes) -> bytes:
    """The response, or where it is too large for the client one that says: ask over TCP."""
    room = MIN_UDP_BYTES if query.edns is None else query.edns.size_bytes
    if len(response) <= max(MIN_UDP_BYTES, min(room, MAX_UDP_BYTES)):
        return response
    flags = int.from_bytes(response[2:4], "big") | TC
    opt = build_opt(query)
    header = HEADER.pack(query.id, flags, 1, 0, 0, 1 if opt else 0)
    return header + query.question + opt


def _build(
    query: Query,
    rcode: int,
    records: list[bytes] | None = None,
    authority: bytes = b"",
    opt: bytes = b"",
) -> bytes:
    flags = QR | RA | query.flags & (RD | CD) | rcode
    answers = records or []
    header = HEADER.pack(query.id, flags, 1, len(answers), bool(authority), bool(opt))
    return b"".join((header, query.question, *answers, authority, opt))


def _build_soa(query: Query) -> bytes:
    """SOA of the zone above the name, as a pointer into the question; the root's for itself."""
    first_label = query.question[0]
    owner = _QUESTION_POINTER + (first_label + 1 if first_label else 0)
    return _RECORD_HEAD.pack(owner, _SOA, IN, BLOCKED_TTL_S, len(_SOA_DATA)) + _SOA_DATA


def _build_record(owner: int, record: LocalRecord) -> bytes:
    head = _RECORD_HEAD.pack(owner, record.rtype, IN, record.ttl_s, len(record.rdata))
    return head + record.rdata


def _address_type(address: Address) -> int:
    return A if isinstance(address, IPv4Address) else AAAA


def build_ede(ede: Ede, text: str) -> bytes:
    """An Extended DNS Error as an EDNS option (RFC 8914 2)."""
    encoded = text.encode("utf-8", "replace")[:MAX_TEXT_BYTES].decode("utf-8", "ignore").encode()
    return _OPTION_HEAD.pack(_EDE_OPTION, 2 + len(encoded)) + ede.to_bytes(2, "big") + encoded


def build_opt(query: Query, options: bytes = b"") -> bytes:
    """OPT of our own, where the client sent one (RFC 6891 6.1.1), with these options.

    It speaks for one hop, to the client. ``query.edns.cookie`` goes back as it is.
    """
    if query.edns is None:
        return b""
    cookie = query.edns.cookie
    if cookie:
        options += _OPTION_HEAD.pack(COOKIE_OPTION, len(cookie)) + cookie
    flags = EDNS_DO if query.edns.do else 0
    return _OPT_HEAD.pack(0, OPT, MAX_UDP_BYTES, flags, len(options)) + options
