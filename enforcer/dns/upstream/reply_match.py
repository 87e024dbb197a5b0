"""Whether a reply is the one to a query: by id, question and the case of its letters.

Who sent it, and to which port, is checked where it is received. Sans-I/O; never raises,
whatever the bytes. RFC 5452 9.1; RFC 1035 4.1.1.
"""

from enum import StrEnum
from typing import Final

from enforcer.dns.packets.wire import HEADER
from enforcer.policy.names import fold_wire

_HEADER_BYTES: Final = HEADER.size
_QR_AND_OPCODE: Final = 0xF8
_REPLY: Final = 0x80  # QR, and the opcode of a query
_ONE_QUESTION: Final = b"\0\1"
_NO_RECORDS: Final = b"\0" * 8
_RCODE: Final = 0xF
# FORMERR, SERVFAIL, NOTIMP, REFUSED may come as a header alone.
_ERRORS: Final = frozenset({1, 2, 4, 5})
_TYPE_AND_CLASS_BYTES: Final = 4


class Mismatch(StrEnum):
    """Why a message is not the reply to a query; the values are metric labels."""

    MALFORMED = "malformed"
    """Shorter than a header, not a reply, or not with one question."""
    OVERSIZE = "oversize"
    """More bytes than were asked for."""
    OTHER_ADDRESS = "other_address"
    """From another address or port than was asked."""
    OTHER_ID = "other_id"
    """No query of this id waits."""
    OTHER_QUESTION = "other_question"
    """Another name, type or class."""
    OTHER_CASE = "other_case"
    """The name in other letters than it was asked in."""
    OTHER_COOKIE = "other_cookie"
    """Another client cookie than was sent (RFC 7873 5.3)."""


def match_reply(reply: bytes, question: bytes, *, exact_case: bool) -> Mismatch | None:
    """None when ``reply`` answers ``question`` as it was sent. The caller has matched the id."""
    if len(reply) < _HEADER_BYTES or reply[2] & _QR_AND_OPCODE != _REPLY:
        return Mismatch.MALFORMED
    end = _HEADER_BYTES + len(question)
    echoed = reply[_HEADER_BYTES:end]
    if reply[4:6] == _ONE_QUESTION:
        if echoed == question:
            return None
    elif reply[4:] == _NO_RECORDS and reply[3] & _RCODE in _ERRORS:
        return None
    else:
        return Mismatch.MALFORMED
    # Type and class are numbers: "A" and "a" are two of them.
    if echoed[-_TYPE_AND_CLASS_BYTES:] != question[-_TYPE_AND_CLASS_BYTES:]:
        return Mismatch.OTHER_QUESTION
    if fold_wire(echoed) != fold_wire(question):
        return Mismatch.OTHER_QUESTION
    return Mismatch.OTHER_CASE if exact_case else None


def restore_question(reply: bytes, ident: int, question: bytes) -> bytes:
    """A matched reply under the client's id, with the question in the client's own letters."""
    if len(reply) == _HEADER_BYTES:
        return ident.to_bytes(2, "big") + reply[2:4] + _ONE_QUESTION + bytes(6) + question
    end = _HEADER_BYTES + len(question)
    return ident.to_bytes(2, "big") + reply[2:_HEADER_BYTES] + question + reply[end:]
