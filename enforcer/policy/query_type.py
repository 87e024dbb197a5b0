"""Query types by the names that people write (IANA's DNS parameters; RFC 3597 5 for the rest)."""

import re

# Alone of these may stand in a question only, never in a record.
ANY = 255
_NUMBERS = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "NULL": 10,
    "PTR": 12,
    "HINFO": 13,
    "MX": 15,
    "TXT": 16,
    "RP": 17,
    "AFSDB": 18,
    "SIG": 24,
    "KEY": 25,
    "AAAA": 28,
    "LOC": 29,
    "SRV": 33,
    "NAPTR": 35,
    "KX": 36,
    "CERT": 37,
    "DNAME": 39,
    "APL": 42,
    "DS": 43,
    "SSHFP": 44,
    "IPSECKEY": 45,
    "RRSIG": 46,
    "NSEC": 47,
    "DNSKEY": 48,
    "DHCID": 49,
    "NSEC3": 50,
    "NSEC3PARAM": 51,
    "TLSA": 52,
    "SMIMEA": 53,
    "HIP": 55,
    "CDS": 59,
    "CDNSKEY": 60,
    "OPENPGPKEY": 61,
    "CSYNC": 62,
    "ZONEMD": 63,
    "SVCB": 64,
    "HTTPS": 65,
    "SPF": 99,
    "EUI48": 108,
    "EUI64": 109,
    "TKEY": 249,
    "TSIG": 250,
    "IXFR": 251,
    "AXFR": 252,
    "ANY": ANY,
    "URI": 256,
    "CAA": 257,
}
_NAMES = {number: name for name, number in _NUMBERS.items()}
_BY_NUMBER = re.compile(r"TYPE([0-9]{1,5})")
_MAX = 0xFFFF


def parse_query_type(text: str) -> int:
    """The number of ``AAAA`` or ``TYPE28``, in any case. Raises ValueError with a sentence."""
    word = text.strip().upper()
    if word in _NUMBERS:
        return _NUMBERS[word]
    by_number = _BY_NUMBER.fullmatch(word)
    if by_number and 0 < int(by_number[1]) <= _MAX:
        return int(by_number[1])
    raise ValueError(
        f"{text!r} is not a query type that is known here; write one such as AAAA, or TYPE65"
    )


def query_type_name(number: int) -> str:
    """``AAAA``, or ``TYPE65280`` for one without a name of its own."""
    return _NAMES.get(number, f"TYPE{number}")
