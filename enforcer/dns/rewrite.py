"""Answers that lead somewhere else: an alias of the policy's, and what is found behind it.

RPZ's "local data" with a CNAME. The client sees the alias, so that it can be told from an
answer of the name's owner. Not quick: dnspython writes the names anew.
"""

from typing import Final

from enforcer.dns.packets.response import BLOCKED_TTL_S, MAX_MESSAGE_BYTES, build_opt
from enforcer.dns.packets.wire import IN, RA, RD, Query
from enforcer.policy.names import to_wire

_WILDCARD = "*."
# With room for OPT behind it.
_MAX_BYTES: Final = MAX_MESSAGE_BYTES - 1024


def rewrite_target(query: Query, cname: str) -> bytes | None:
    """The alias's target, folded wire form. ``*.example`` means the asked name below it.

    None when that is too long to be a name (RFC 6672 2.2 calls it YXDOMAIN).
    """
    if not cname.startswith(_WILDCARD):
        return to_wire(cname)
    import dns.exception  # noqa: PLC0415 only policies that rewrite pay for it
    import dns.name  # noqa: PLC0415

    try:
        name = dns.name.from_wire(query.name, 0)[0].relativize(dns.name.root)
        target = name.concatenate(dns.name.from_text(cname.removeprefix(_WILDCARD)))
    except dns.exception.DNSException:
        return None
    return target.to_wire()


def target_query(query: Query, target: bytes) -> Query:
    """What upstream is asked in the place of the client's question."""
    question = target + query.question[-4:]
    return query._replace(name=target, question=question)


def build_rewritten(query: Query, target: bytes, reply: bytes | None, ede: bytes) -> bytes:
    """The alias, and the answer section of ``reply`` behind it, if there is one."""
    import dns.exception  # noqa: PLC0415
    import dns.flags  # noqa: PLC0415
    import dns.message  # noqa: PLC0415
    import dns.name  # noqa: PLC0415
    import dns.rcode  # noqa: PLC0415
    import dns.rdata  # noqa: PLC0415
    import dns.rdataclass  # noqa: PLC0415
    import dns.rdatatype  # noqa: PLC0415
    import dns.rrset  # noqa: PLC0415

    owner = dns.name.from_wire(query.question, 0)[0]
    # From bytes: below ``*.`` the client chose what is in the target.
    rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.CNAME, target, 0, len(target))
    alias = dns.rrset.from_rdata(owner, BLOCKED_TTL_S, rdata)
    message = dns.message.Message(query.id)
    message.flags = dns.flags.QR | (query.flags & RD) | RA
    message.question = [
        dns.rrset.RRset(owner, dns.rdataclass.RdataClass(IN), dns.rdatatype.RdataType(query.qtype))
    ]
    message.answer = [alias]
    try:
        found = dns.message.from_wire(reply or b"", ignore_trailing=True)
    except dns.exception.DNSException:
        message.set_rcode(dns.rcode.SERVFAIL)
    else:
        message.answer += found.answer
        message.authority = found.authority
        message.set_rcode(found.rcode())
    try:
        wire = message.to_wire(max_size=_MAX_BYTES)
    except dns.exception.TooBig:
        message.answer, message.authority = [alias], []
        message.set_rcode(dns.rcode.SERVFAIL)
        wire = message.to_wire()
    opt = build_opt(query, ede)
    return wire[:10] + bytes((0, bool(opt))) + wire[12:] + opt
