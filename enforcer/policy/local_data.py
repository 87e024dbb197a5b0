"""Records that a rule answers with: ``A 192.0.2.1`` to wire form.

dnspython reads them, and is imported only for a policy that has some.
"""

import re

from enforcer.policy.model import LocalRecord
from enforcer.policy.names import from_wire
from enforcer.policy.query_type import parse_query_type, query_type_name

CNAME = 5
# How long a written record is kept where it does not say so itself.
DEFAULT_TTL_S = 60
MAX_TTL_S = 0x7FFFFFFF  # RFC 2181 8
_OPT = 41
# Types that only questions, or only messages themselves, have (RFC 6895 3.1).
_META = range(128, 256)
_RECORD = re.compile(r"(?:([0-9]{1,10})\s+)?(?:IN\s+)?([A-Za-z][A-Za-z0-9]*)\s+(\S.*)")


def parse_record(text: str) -> LocalRecord:
    """The record of ``[TTL] [IN] TYPE DATA``, as a zone file has it; names are whole names.

    Raises ValueError with a sentence.
    """
    found = _RECORD.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a record; write a type and its data, as A 192.0.2.1")
    ttl_text, type_text, data = found.groups()
    ttl_s = int(ttl_text or DEFAULT_TTL_S)
    if ttl_s > MAX_TTL_S:
        raise ValueError(f"a TTL of {ttl_s} s is too long; write at most {MAX_TTL_S}")
    rtype = parse_query_type(type_text)
    if rtype in _META or rtype == _OPT:
        raise ValueError(
            f"no name has a record of type {query_type_name(rtype)}; write a type that names have"
        )
    return LocalRecord(rtype, ttl_s, _to_wire(rtype, data, text))


def cname_target(record: LocalRecord) -> str:
    """Where a CNAME record leads to, as folded text."""
    return from_wire(record.rdata)


def _to_wire(rtype: int, data: str, text: str) -> bytes:
    import dns.exception  # noqa: PLC0415 only policies with such records pay for it
    import dns.name  # noqa: PLC0415
    import dns.rdata  # noqa: PLC0415
    import dns.rdatatype  # noqa: PLC0415

    try:
        kind = dns.rdatatype.RdataType.make(rtype)
        rdata = dns.rdata.from_text("IN", kind, data, origin=dns.name.root, relativize=False)
        wire = rdata.to_wire()
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(
            f"{text!r} is no {query_type_name(rtype)} record: {_one_line(error)}; "
            "write its data as a zone file has it"
        ) from None
    if wire is None:
        raise ValueError(f"{text!r} has no data; write its data as a zone file has it")
    return wire


def _one_line(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said.replace(";", ",").rstrip(".")
