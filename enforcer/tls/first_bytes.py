"""What speaks here: the protocol of a client's first bytes, and TLS alerts to answer it.

It looks at no more than MAX_SNIFF_BYTES and never waits for a byte that could not
change the answer. The gate calls it before it knows anything else of a connection.
"""

from enum import Enum, IntEnum
from typing import Final

from enforcer.policy.model import Protocol


class NeedMore(Enum):
    """The parser's third outcome: what is there so far can still become anything."""

    NEED_MORE = 0


NEED_MORE: Final = NeedMore.NEED_MORE

_PREFIXES: Final = {
    b"\x16\x03": Protocol.TLS,  # RFC 8446 5.1: handshake record, any version since SSL 3
    b"SSH-": Protocol.SSH,  # RFC 4253 4.2
    b"GET ": Protocol.HTTP,  # RFC 9110 9.3; a method is case-sensitive
    b"HEAD ": Protocol.HTTP,
    b"POST ": Protocol.HTTP,
    b"PUT ": Protocol.HTTP,
    b"DELETE ": Protocol.HTTP,
    b"CONNECT ": Protocol.HTTP,
    b"OPTIONS ": Protocol.HTTP,
    b"TRACE ": Protocol.HTTP,
    b"PATCH ": Protocol.HTTP,  # RFC 5789
    b"PRI * ": Protocol.HTTP,  # RFC 9113 3.4: HTTP/2 with prior knowledge
}
MAX_SNIFF_BYTES: Final = max(map(len, _PREFIXES))


def sniff(data: bytes | bytearray) -> Protocol | NeedMore:
    """The protocol, as soon as the bytes can be only one."""
    head = bytes(data[:MAX_SNIFF_BYTES])
    undecided = False
    for prefix, protocol in _PREFIXES.items():
        if head.startswith(prefix):
            return protocol
        undecided = undecided or prefix.startswith(head)
    return NEED_MORE if undecided else Protocol.UNKNOWN


class AlertDescription(IntEnum):
    """The TLS alerts that the gate sends (RFC 8446 6.2)."""

    ACCESS_DENIED = 49  # the sender decided not to proceed
    DECODE_ERROR = 50  # a message could not be decoded
    INTERNAL_ERROR = 80  # not the peer's fault
    UNRECOGNIZED_NAME = 112  # no server for the name in server_name


def build_alert(description: AlertDescription) -> bytes:
    """A fatal alert as one plaintext record, which every version understands."""
    return bytes((0x15, 0x03, 0x03, 0x00, 0x02, 0x02, description))
