"""DNS cookies towards one upstream, and what its OPT says to us alone (RFC 7873, RFC 9018).

OPT speaks for one hop (RFC 6891 6.1): of an upstream's options only Extended DNS Errors
and Client Subnet go on to the client, who must not see a cookie that is ours. Sans-I/O;
never raises, whatever the bytes.
"""

from enum import Enum, auto
from typing import Final, NamedTuple

from enforcer.dns.packets.wire import HEADER, OPT, RECORD
from enforcer.dns.upstream.query import build_upstream_opt

CLIENT_COOKIE_BYTES: Final = 8
_COOKIE: Final = 10  # RFC 7873 4
# What goes on to the client: the subnet it sent (RFC 7871), an error's reason (RFC 8914).
_FOR_THE_CLIENT: Final = frozenset({8, 15})
_OPTION_HEAD_BYTES: Final = 4
_MIN_SERVER_COOKIE_BYTES, _MAX_SERVER_COOKIE_BYTES = 8, 32
_OPT_BYTES: Final = 1 + RECORD.size
_OPT_START: Final = b"\0\0\x29"
_EXTENDED_RCODE_AT: Final = 5
_POINTER: Final = 0xC0
_BAD_COOKIE: Final = 23  # RFC 7873 8
# RFC 7873 7.1: a client cookie is not kept for ever.
_COOKIE_LIFE_S: Final = 86_400.0


class CookieFault(Enum):
    """What a reply's cookie says against it."""

    OTHER = auto()
    """Not the one that was sent: not a reply to us."""
    MISSING = auto()
    """None, from an upstream that sends them: asked again over TCP, where forging is harder."""
    BAD = auto()
    """BADCOOKIE: ours is out of date, and the reply has a new one."""


class UpstreamReply(NamedTuple):
    """A reply without what was for us alone."""

    message: bytes
    extended_rcode: int
    """The upper eight bits of the response code; 0 without OPT."""
    fault: CookieFault | None


class UpstreamCookies:
    """Our client cookie for one upstream, and the server cookie that it gave for it."""

    def __init__(self, client_cookie: bytes, made_s: float) -> None:
        self._client = client_cookie
        self._server = b""
        self._made_s = made_s
        self._renew()

    def expired(self, now_s: float) -> bool:
        return now_s - self._made_s > _COOKIE_LIFE_S

    def _renew(self) -> None:
        data = self._client + self._server
        self.option = _COOKIE.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data
        """The option to send."""
        self.opts = tuple(build_upstream_opt(do=do, options=self.option) for do in (False, True))
        """The whole OPT with it alone, by the client's DO."""

    def judge(self, rcode: int, cookie: bytes | None) -> CookieFault | None:
        """``cookie`` is the option's data in a reply, and ``rcode`` its whole response code."""
        if cookie is None:
            return CookieFault.MISSING if self._server else None
        server = cookie[CLIENT_COOKIE_BYTES:]
        if cookie[:CLIENT_COOKIE_BYTES] != self._client:
            return CookieFault.OTHER
        usable = _MIN_SERVER_COOKIE_BYTES <= len(server) <= _MAX_SERVER_COOKIE_BYTES
        if usable and server != self._server:
            self._server = server
            self._renew()
        return CookieFault.BAD if rcode == _BAD_COOKIE else None


def read_reply(reply: bytes, cookies: UpstreamCookies | None, *, keep_opt: bool) -> UpstreamReply:
    """``keep_opt``: the client sent an OPT, so it gets one; otherwise it gets none.

    A message that cannot be walked through is taken for one without OPT.
    """
    opt_at = _last_opt(reply)
    if opt_at is not None:
        extended_rcode = reply[opt_at + _EXTENDED_RCODE_AT]
        fault = cookies.judge(0, None) if cookies else None
        if not keep_opt:
            additionals = ((reply[10] << 8 | reply[11]) - 1).to_bytes(2, "big")
            reply = b"".join((reply[:10], additionals, reply[HEADER.size : opt_at]))
        return UpstreamReply(reply, extended_rcode, fault)
    opt_at = _find_opt(reply)
    if opt_at is None:
        fault = cookies.judge(reply[3] & 0xF, None) if cookies else None
        return UpstreamReply(reply, 0, fault)
    _, size_bytes, extended, length = RECORD.unpack_from(reply, opt_at + 1)
    end = opt_at + _OPT_BYTES + length
    cookie, kept = _sort_options(reply[opt_at + _OPT_BYTES : end])
    rcode = (extended >> 24) << 4 | reply[3] & 0xF
    fault = cookies.judge(rcode, cookie) if cookies else None
    if keep_opt and len(kept) == length:
        return UpstreamReply(reply, extended >> 24, fault)
    opt = b""
    additionals = reply[10:12]
    if keep_opt:
        opt = b"\0" + RECORD.pack(OPT, size_bytes, extended, len(kept)) + kept
    else:
        additionals = (int.from_bytes(additionals, "big") - 1).to_bytes(2, "big")
    message = b"".join((reply[:10], additionals, reply[HEADER.size : opt_at], opt, reply[end:]))
    return UpstreamReply(message, extended >> 24, fault)


def _sort_options(options: bytes) -> tuple[bytes | None, bytes]:
    """The cookie, and the options that go on to the client. What is cut short is dropped."""
    cookie = None
    kept = b""
    at = 0
    while at + _OPTION_HEAD_BYTES <= len(options):
        code = options[at] << 8 | options[at + 1]
        end = at + _OPTION_HEAD_BYTES + (options[at + 2] << 8 | options[at + 3])
        if end > len(options):
            break
        if code == _COOKIE:
            cookie = options[at + _OPTION_HEAD_BYTES : end]
        elif code in _FOR_THE_CLIENT:
            kept += options[at:end]
        at = end
    return cookie, kept


def _last_opt(reply: bytes) -> int | None:
    """Where nearly every server has it: at the end, without options."""
    at = len(reply) - _OPT_BYTES
    if at < HEADER.size or reply[-2:] != b"\0\0" or reply[at : at + 3] != _OPT_START:
        return None
    return at if reply[10] or reply[11] else None


def _find_opt(reply: bytes) -> int | None:
    """Where OPT's record starts, with all of it within the message."""
    if len(reply) < HEADER.size:
        return None
    _, _, questions, answers, authorities, additionals = HEADER.unpack_from(reply)
    if not additionals:
        return None
    try:
        return _walk_to_opt(reply, questions, answers + authorities, additionals)
    except IndexError:
        return None


def _walk_to_opt(reply: bytes, questions: int, before: int, additionals: int) -> int | None:
    at = HEADER.size
    size = len(reply)
    for _ in range(questions):
        at = _skip_name(reply, at) + 4
    for number in range(before + additionals):
        owner = at
        at = _skip_name(reply, at)
        kind = reply[at] << 8 | reply[at + 1]
        at += RECORD.size + (reply[at + 8] << 8 | reply[at + 9])
        if at > size:
            return None
        if number >= before and kind == OPT and not reply[owner]:
            return owner
    return None


def _skip_name(reply: bytes, at: int) -> int:
    while length := reply[at]:
        if length >= _POINTER:
            return at + 2
        at += 1 + length
    return at + 1
