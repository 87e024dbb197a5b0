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
    # RFC 8446 5.1, any version since SSL 3. A hello is a handshake record (22), but some
    # servers, Go's among them, read past a warning (21) before it. Whatever the record,
    # it is for the parser of the hello to refuse.
    b"\x14\x03": Protocol.TLS,
    b"\x15\x03": Protocol.TLS,
    b"\x16\x03": Protocol.TLS,
    b"\x17\x03": Protocol.TLS,
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
# As far as Go's server looks for SSH (x/crypto/ssh, readVersion).
MAX_SSH_BYTES: Final = 255


def sniff(data: bytes | bytearray) -> Protocol | NeedMore:
    """The protocol, as soon as the bytes can be only one."""
    head = bytes(data[:MAX_SNIFF_BYTES])
    undecided = False
    for prefix, protocol in _PREFIXES.items():
        if head.startswith(prefix):
            return protocol
        undecided = undecided or prefix.startswith(head)
    return NEED_MORE if undecided else _sniff_odd_record(head)


def begins_ssh(data: bytes | bytearray) -> bool:
    """Whether a line among the first MAX_SSH_BYTES is SSH's first.

    Only a server may send other lines before it (RFC 4253 4.2), but Go's server reads past
    those of a client, too.
    """
    return data.startswith(b"SSH-") or data.find(b"\nSSH-", 0, MAX_SSH_BYTES) >= 0


def _sniff_odd_record(head: bytes) -> Protocol | NeedMore:
    """Whether this is a first record of a version that TLS never had.

    Go's server reads one all the same, below version 16.0 (crypto/tls, readRecordOrCCS).
    Two bytes do not tell, and other protocols begin with a length such as these; a
    ClientHello does, or a warning (RFC 8446 4 and 6).
    """
    if head[1:2] >= b"\x10":
        return Protocol.UNKNOWN
    if head[0] == 0x16:  # noqa: PLR2004 a handshake record
        begun, begins = head[5:], b"\x01"
    elif head[0] == 0x15:  # noqa: PLR2004 an alert
        begun, begins = head[3:], b"\x00\x02\x01"
    else:
        return Protocol.UNKNOWN
    if begun.startswith(begins):
        return Protocol.TLS
    return NEED_MORE if begins.startswith(begun) else Protocol.UNKNOWN


class AlertDescription(IntEnum):
    """The TLS alerts that the gate sends (RFC 8446 6.2)."""

    ACCESS_DENIED = 49  # the sender decided not to proceed
    DECODE_ERROR = 50  # a message could not be decoded
    INTERNAL_ERROR = 80  # not the peer's fault
    UNRECOGNIZED_NAME = 112  # no server for the name in server_name


def build_alert(description: AlertDescription) -> bytes:
    """A fatal alert as one plaintext record, which every version understands."""
    return bytes((0x15, 0x03, 0x03, 0x00, 0x02, 0x02, description))
