"""Server cookies (RFC 7873) that other servers of the same secret can check (RFC 9018). Pure.

A client that sends one back has shown that it is where it says. What comes of that is
the caller's business; each answer to a cookie carries a cookie.
"""

import struct
from functools import lru_cache
from hmac import compare_digest
from typing import Final, NamedTuple

from enforcer.policy.model import Address

SECRET_BYTES: Final = 16
CLIENT_COOKIE_BYTES: Final = 8
_COOKIE: Final = struct.Struct("!8sB3sI8s")
_VERSION: Final = 1
# RFC 9018 4.3: how old a cookie may be, how far ahead, and when a fresh one is due.
_VALID_S: Final = 3600
_AHEAD_S: Final = 300
_FRESH_S: Final = 1800
_HASHES_KEPT: Final = 8192
_WORD: Final = 0xFFFFFFFFFFFFFFFF


class CookieReply(NamedTuple):
    """The cookie that goes back, and whether the one that came was ours."""

    cookie: bytes
    valid: bool


class Cookies:
    """One gateway's, or those of several that share the secret; older secrets are still known."""

    def __init__(self, secret: bytes, *older: bytes) -> None:
        self._secrets = (secret, *older)
        # A client sends the same cookie for half an hour, and hashing in Python takes a while.
        self._hash = lru_cache(maxsize=_HASHES_KEPT)(siphash24)

    def reply(self, cookie: bytes, client: Address, now_s: float) -> CookieReply:
        """``cookie`` is the data of a query's option, of a length that ``is_cookie`` takes."""
        now = int(now_s) & 0xFFFFFFFF
        valid, fresh = self._judge(cookie, client, now)
        if fresh:
            return CookieReply(cookie, valid=True)
        hashed = cookie[:CLIENT_COOKIE_BYTES] + struct.pack("!B3xI", _VERSION, now)
        return CookieReply(
            hashed + self._hash(self._secrets[0], hashed + client.packed), valid=valid
        )

    def _judge(self, cookie: bytes, client: Address, now: int) -> tuple[bool, bool]:
        """Whether it is ours and in time; and whether it may be sent back as it is."""
        if len(cookie) != _COOKIE.size:
            return False, False
        _, version, _, made, mac = _COOKIE.unpack(cookie)
        # Serial number arithmetic (RFC 1982): seconds of 32 bits turn over in 2106.
        age_s = (now - made + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        if version != _VERSION or not -_AHEAD_S <= age_s <= _VALID_S:
            return False, False
        hashed = cookie[: -len(mac)] + client.packed
        for number, secret in enumerate(self._secrets):
            if compare_digest(self._hash(secret, hashed), mac):
                return True, number == 0 and age_s < _FRESH_S
        return False, False


def siphash24(key: bytes, data: bytes) -> bytes:
    """SipHash-2-4 with a key of 16 bytes (https://131002.net/siphash/siphash.pdf 2.1)."""
    low, high = struct.unpack("<2Q", key)
    state = (
        low ^ 0x736F6D6570736575,
        high ^ 0x646F72616E646F6D,
        low ^ 0x6C7967656E657261,
        high ^ 0x7465646279746573,
    )
    whole = len(data) & ~7
    padded = data + bytes(7 - (len(data) - whole)) + bytes((len(data) & 0xFF,))
    for (word,) in struct.iter_unpack("<Q", padded):
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _rounds(2, v0, v1, v2, v3 ^ word)
        state = v0 ^ word, v1, v2, v3
    v0, v1, v2, v3 = state
    v0, v1, v2, v3 = _rounds(4, v0, v1, v2 ^ 0xFF, v3)
    return struct.pack("<Q", v0 ^ v1 ^ v2 ^ v3)


def _rounds(count: int, v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    for _ in range(count):
        v0 = v0 + v1 & _WORD
        v1 = (v1 << 13 | v1 >> 51) & _WORD ^ v0
        v0 = (v0 << 32 | v0 >> 32) & _WORD
        v2 = v2 + v3 & _WORD
        v3 = (v3 << 16 | v3 >> 48) & _WORD ^ v2
        v0 = v0 + v3 & _WORD
        v3 = (v3 << 21 | v3 >> 43) & _WORD ^ v0
        v2 = v2 + v1 & _WORD
        v1 = (v1 << 17 | v1 >> 47) & _WORD ^ v2
        v2 = (v2 << 32 | v2 >> 32) & _WORD
    return v0, v1, v2, v3
