"""A query as an upstream gets it: our id, our OPT, the letters in random case.

The case of letters (0x20, draft-vixie-dnsext-dns0x20) is a secret that the reply must
repeat, on top of id and port (RFC 5452). Sans-I/O: bytes in, bytes out.
"""

import os
from collections.abc import Callable
from typing import Final

from enforcer.dns.packets.wire import EDNS_DO, HEADER, OPT, RECORD

# What an upstream may send over UDP: no fragments (DNS flag day 2020).
MAX_UDP_BYTES: Final = 1232
# What differs between the two cases of an ASCII letter; zero for all other bytes.
_CASE_BITS: Final = bytes(0x20 if chr(b).isascii() and chr(b).isalpha() else 0 for b in range(256))
_TYPE_AND_CLASS_BYTES: Final = 4
_BATCH_BYTES: Final = 4096


class Randomness:
    """Bytes from the system's generator, fetched many at a time since each call costs."""

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._batch = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """``count`` bytes, at most 4096. None is given out twice."""
        end = self._at + count
        if end > len(self._batch):
            self._batch = self._source(_BATCH_BYTES)
            self._at, end = 0, count
        taken = self._batch[self._at : end]
        self._at = end
        return taken

    def take_id(self) -> int:
        taken = self.take(2)
        return taken[0] << 8 | taken[1]


def randomise_case(question: bytes, random: bytes) -> bytes:
    """The question with each letter of its name in the case that a random bit says.

    ``random`` has at least as many bytes as the name. Length bytes are never letters:
    they are at most 63.
    """
    size = len(question) - _TYPE_AND_CLASS_BYTES
    name = question[:size]
    number = int.from_bytes
    flips = number(name.translate(_CASE_BITS), "big") & number(random[:size], "big")
    return (number(name, "big") ^ flips).to_bytes(size, "big") + question[size:]


def build_query(ident: int, flags: int, question: bytes, opt: bytes) -> bytes:
    """``flags`` are the client's RD, AD and CD; ``opt`` is empty or one OPT record."""
    return HEADER.pack(ident, flags, 1, 0, 0, 1 if opt else 0) + question + opt


def build_upstream_opt(*, do: bool, options: bytes = b"") -> bytes:
    """Our OPT to an upstream (RFC 6891 6.1): size, the client's DO, options of ours."""
    flags = EDNS_DO if do else 0
    return b"\0" + RECORD.pack(OPT, MAX_UDP_BYTES, flags, len(options)) + options
