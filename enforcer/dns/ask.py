"""What passes between who asks, the responder and the upstreams: queries on their way."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, TypeAlias

from enforcer.dns.cache import Entry
from enforcer.dns.packets.wire import Query
from enforcer.dns.uncached import Uncached
from enforcer.policy.compile import CompiledPolicy
from enforcer.policy.model import Address, Request, Verdict

UDP, TCP, DOT = "udp", "tcp", "dot"

Content: TypeAlias = Entry | Uncached
# Where an answer goes: called once, with None for no answer.
Send: TypeAlias = Callable[[bytes | None], None]


class Asker(NamedTuple):
    """Who asks, and over what: ``udp``, ``tcp`` or ``dot``.

    ``admitted`` says that it is known already to be one who may ask.
    """

    client: Address
    transport: str
    admitted: bool = False


class Asked(NamedTuple):
    """A client's query, and what the policy said of its name."""

    packet: bytes
    query: Query
    asker: Asker
    request: Request
    policy: CompiledPolicy
    verdict: Verdict


class Step(Enum):
    """What an Ask is for."""

    ANSWER = "answer"
    DELEGATION = "delegation"
    REWRITE = "rewrite"


class Ask(NamedTuple):
    """Questions for the upstreams, side by side. ``asked`` waits for the replies, if any does.

    ``older`` says that something can be given in their place if they take long.
    """

    queries: tuple[Query, ...]
    step: Step
    asked: Asked | None = None
    content: Content | None = None
    origin: str = "upstream"
    rounds: int = 0
    older: bool = False
