"""Upstreams that are scripts: each sending is answered by the next word of its script."""

from enforcer.dns.packets.wire import HEADER
from enforcer.dns.upstream.attempt import Ending
from enforcer.dns.upstream.link import UpstreamLink
from enforcer.dns.upstream.query import Randomness

RCODES = {"ok": 0, "formerr": 1, "servfail": 2, "nxdomain": 3, "notimp": 4, "refused": 5}
ANSWER = b"\xc0\x0c\0\1\0\1\0\0\0<\0\4\xc0\0\2\1"


def build_reply(question, rcode=0, flags=0x8180, opt=b""):
    header = HEADER.pack(0xBEEF, flags | rcode, 1, 1, 0, 1 if opt else 0)
    return header + question + ANSWER + opt


class FakeChannel:
    """A word is an rcode, ``truncated``, an Ending, ``silence``, or bytes: the reply's OPT.

    The last word holds for all that comes after. Replies come within ``send``, which is
    sooner than any real one.
    """

    def __init__(self, *script, rtt_s=0.0):
        self.script = list(script)
        self.rtt_s = rtt_s
        self.sent = []
        self.forgotten = []
        self.ignored = []
        self.closed = False
        self.distrust = ""

    def send(self, attempt):
        self.sent.append(attempt)
        word = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.say(word, attempt)

    def say(self, word, attempt):
        now_s = attempt.sent_s + self.rtt_s
        if isinstance(word, Ending):
            attempt.listener.failed(attempt, word, now_s)
        elif word == "other case":
            attempt.listener.lost_case(attempt, now_s)
        elif word != "silence":
            flags, opt = 0x8180, b""
            if isinstance(word, bytes):
                word, opt = "ok", word
            elif word == "truncated":
                word, flags = "ok", 0x8380
            reply = build_reply(attempt.question, RCODES[word], flags, opt)
            mismatch = attempt.listener.replied(attempt, reply, now_s)
            if mismatch is not None:
                self.ignored.append(mismatch)

    def forget(self, attempt, now_s):
        self.forgotten.append(attempt)

    def close(self):
        self.closed = True


def build_fake_link(upstream, metrics, first, stream=None, *, cookies=False):
    return UpstreamLink(
        upstream, first, first if stream is None else stream, metrics, Randomness(), cookies=cookies
    )
