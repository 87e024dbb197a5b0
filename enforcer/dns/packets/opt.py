"""The OPT records of any message, and their options (RFC 6891 6.1). Never raises."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from enforcer.dns.packets.records import UNREADABLE, walk_records
from enforcer.dns.packets.wire import OPT, RECORD

OPTION: Final = struct.Struct("!HH")  # code, length
KEEPALIVE_OPTION: Final = 11  # RFC 7828 3.1
PADDING_OPTION: Final = 12  # RFC 7830 3
_ADDITIONAL: Final = 3
_MAX_MESSAGE_BYTES: Final = 0xFFFF  # RFC 1035 4.2.2


class OptRecord(NamedTuple):
    """Where the record's owner stands and where it ends, and its fields (RFC 6891 6.1.2)."""

    at: int
    end: int
    size_bytes: int
    extended: int  # extended rcode, version, flags: where others have the TTL
    data: bytes

    @property
    def version(self) -> int:
        return self.extended >> 16 & 0xFF

    def options(self) -> Iterator[tuple[int, bytes]]:
        """Code and content of each; what is cut off ends it."""
        at = 0
        while at + OPTION.size <= len(self.data):
            code, length = OPTION.unpack_from(self.data, at)
            at += OPTION.size + length
            yield code, self.data[at - length : at]

    @property
    def is_whole(self) -> bool:
        """Whether the options fill the record to the byte, and its owner is the root."""
        at = 0
        while at + OPTION.size <= len(self.data):
            at += OPTION.size + OPTION.unpack_from(self.data, at)[1]
        return at == len(self.data) and self.end - self.at == 1 + RECORD.size + at


def find_opts(message: bytes) -> list[OptRecord] | None:
    """Those of the additional section, or None when the records cannot be walked through."""
    opts = []
    try:
        for record in walk_records(message):
            if record.kind == OPT and record.section == _ADDITIONAL:
                _, size_bytes, extended, _ = RECORD.unpack_from(message, record.kind_at)
                data = message[record.data_at : record.end]
                opts.append(OptRecord(record.owner_at, record.end, size_bytes, extended, data))
    except UNREADABLE:
        return None
    return opts


def build_option(code: int, data: bytes) -> bytes:
    return OPTION.pack(code, len(data)) + data


def append_option(message: bytes, option: bytes) -> bytes:
    """The message with one more option in its OPT; as it is where there is none, or no room."""
    opts = find_opts(message)
    if not opts or len(message) + len(option) > _MAX_MESSAGE_BYTES:
        return message
    opt = opts[0]
    length_at = opt.end - len(opt.data) - 2
    length = (len(opt.data) + len(option)).to_bytes(2, "big")
    return b"".join((message[:length_at], length, opt.data, option, message[opt.end :]))
