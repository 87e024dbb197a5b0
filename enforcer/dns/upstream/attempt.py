"""One sending of a query to one upstream, as the inquiry that makes it and the channel see it.

A channel sends an attempt, and tells its listener how that ends: once, with a reply or a
failure, unless the listener has it forgotten before. Channels have no timers for it.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from enforcer.dns.upstream.reply_match import Mismatch

if TYPE_CHECKING:
    from enforcer.dns.upstream.link import UpstreamLink


class Ending(StrEnum):
    """How an attempt ended; the values are metric labels."""

    ANSWERED = "answered"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    """The certificate of an upstream by TLS or HTTPS is not the one it must have."""
    MALFORMED = "malformed"


class Attempt:
    """What is sent, and since when it waits. ``now_s`` is monotonic."""

    __slots__ = (
        "channel",
        "expires_s",
        "flags",
        "holder",
        "key",
        "link",
        "listener",
        "opt",
        "question",
        "resent",
        "sent_question",
        "sent_s",
    )

    def __init__(
        self,
        listener: "Listener",
        link: "UpstreamLink",
        channel: "Channel",
        flags: int,
        question: bytes,
        opt: bytes,
        now_s: float,
        expires_s: float,
    ) -> None:
        self.listener = listener
        self.link = link
        self.channel = channel
        self.flags = flags
        self.question = question
        self.opt = opt
        self.sent_s = now_s
        self.expires_s = expires_s
        self.sent_question = question
        """With the letters as they were sent: what the reply must repeat."""
        self.key = 0
        """By which the channel finds it again: an id, or a stream."""
        self.holder: object = None
        """The socket or connection that waits for it; the channel's business."""
        self.resent = False
        """Whether it was sent again already, since the connection had been closed before it."""


class Listener(Protocol):
    """Who is told how an attempt ends."""

    def replied(self, attempt: Attempt, reply: bytes, now_s: float) -> Mismatch | None:
        """A message that matches, as received. None accepts it, and ends the attempt."""

    def failed(self, attempt: Attempt, ending: Ending, now_s: float) -> None: ...

    def lost_case(self, attempt: Attempt, now_s: float) -> None:
        """A message matched but for the case of letters. The attempt still waits."""


class Channel(Protocol):
    """A way to one upstream."""

    distrust: str
    """What was wrong with the certificate that was shown last, for people."""

    def send(self, attempt: Attempt) -> None:
        """Never raises; may tell the listener of a failure before it returns."""

    def forget(self, attempt: Attempt, now_s: float) -> None:
        """It waits no more; what still comes for it is no lie."""

    def close(self) -> None:
        """Let go of sockets; nobody is told."""
