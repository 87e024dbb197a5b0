"""The nouns of the policy: what a file says, what a plane asks, what it is told.

Policy nouns are frozen dataclasses, made once at load. Request and Verdict are
NamedTuples, since one of each is made per connection.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from enforcer.policy.lists import NameList, Rejected
from enforcer.policy.time_window import TimeWindow

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_PORT = 65535


class Plane(StrEnum):
    """The way a request reached the gateway."""

    DNS = "dns"
    TLS = "tls"
    CONNECT = "connect"
    SOCKS5 = "socks5"
    HTTP = "http"


class Protocol(StrEnum):
    """What the client's first bytes are."""

    TLS = "tls"
    HTTP = "http"
    SSH = "ssh"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What came out: ``monitor`` lets through and records."""

    ALLOW = "allow"
    BLOCK = "block"
    MONITOR = "monitor"


# Asked for at every query; a member is looked up in Python, each time.
_ALLOW, _BLOCK = Action.ALLOW, Action.BLOCK


class Mode(StrEnum):
    """What the operator wants of the whole policy: ``monitor`` blocks nothing."""

    ENFORCE = "enforce"
    MONITOR = "monitor"


class Refusal(StrEnum):
    """How the DNS plane answers a blocked name (RPZ's actions).

    The last three are about lookups alone: TCP_ONLY truncates the answer, so that the
    client asks again over TCP, which lets it through; CNAME and LOCAL_DATA answer with
    what the rule says instead. Their rules are for the DNS plane only (see Rule.planes).
    """

    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    REFUSED = "refused"
    DROP = "drop"
    SINKHOLE = "sinkhole"
    TCP_ONLY = "tcp_only"
    CNAME = "cname"
    LOCAL_DATA = "local_data"


REWRITES = frozenset((Refusal.TCP_ONLY, Refusal.CNAME, Refusal.LOCAL_DATA))


class Delegation(StrEnum):
    """When the name servers of a zone are asked for, where rules are about them.

    ``strict`` before the first answer, ``async`` beside it, for the answers after.
    """

    OFF = "off"
    ASYNC = "async"
    STRICT = "strict"


class StripEch(StrEnum):
    """Whose HTTPS and SVCB answers lose their ``ech`` (see CompiledPolicy.is_guarded)."""

    GUARDED = "guarded"
    ALL = "all"
    NEVER = "never"


class OnFailure(StrEnum):
    """What a plane does when it cannot find out: refuse, or let through."""

    CLOSED = "closed"
    OPEN = "open"


class Source(NamedTuple):
    """Where in the policy files something is written; line 0 is for what is in no file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class PortRange(NamedTuple):
    """Both ends are inside."""

    first: int
    last: int


class LocalRecord(NamedTuple):
    """A record that a rule answers with; ``rdata`` is wire form without compression."""

    rtype: int
    ttl_s: int
    rdata: bytes


@dataclass(frozen=True, slots=True)
class Match:
    """A request matches when every part that is not empty has an entry that matches.

    The first four are one part, the name. ``nsdnames`` are names and all below them.
    """

    names: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    lists: tuple[NameList, ...] = ()
    addresses: tuple[Network, ...] = ()
    ports: tuple[PortRange, ...] = ()
    clients: tuple[Network, ...] = ()
    protocols: tuple[Protocol, ...] = ()
    nsdnames: tuple[str, ...] = ()
    nsips: tuple[Network, ...] = ()
    qtypes: tuple[int, ...] = ()
    windows: tuple[TimeWindow, ...] = ()
    planes: tuple[Plane, ...] = ()

    @property
    def has_name(self) -> bool:
        return bool(self.names or self.suffixes or self.patterns or self.lists)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who must have issued the certificate: ``ngrok``, ``letsencrypt`` or ``own``."""

    name: str
    roots_pem: bytes = b""


@dataclass(frozen=True, slots=True)
class ConnectUrl:
    """A company's own agent ingress at ngrok."""

    host: str
    port: int
    issuer: Issuer
    region_hosts: tuple[str, ...]
    addresses: tuple[Network, ...]
    source: Source

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy or a pack; a Connect URL and the default are rules too.

    ``passthru`` is an allow that ends the search: what the name leads to is not judged.
    ``rank`` is the place of the rule among those that load read, ``zone`` that of its RPZ
    zone, from 1; 0 is for a rule of no zone.
    """

    id: str
    action: Action
    match: Match
    reason: str
    source: Source
    refusal: Refusal = Refusal.NXDOMAIN
    sinkhole: tuple[Address, ...] = ()
    from_pack: bool = False
    connect_url: ConnectUrl | None = None
    cname: str = ""
    records: tuple[LocalRecord, ...] = ()
    passthru: bool = False
    rank: int = 0
    zone: int = 0

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The planes that it is for; empty for all."""
        if self.action is Action.BLOCK and self.refusal in REWRITES:
            return (Plane.DNS,)
        return self.match.planes


class ListReport(NamedTuple):
    """What was read of a list or a zone; of the lines that were not, the first are kept."""

    path: str
    entries: int
    rejected: tuple[Rejected, ...]
    rejected_count: int


@dataclass(frozen=True, slots=True)
class Policy:
    """What the files say, checked one by one but not yet against each other."""

    mode: Mode
    default: Rule
    connect_urls: tuple[ConnectUrl, ...]
    rules: tuple[Rule, ...]
    dns_on_failure: OnFailure
    tls_on_failure: OnFailure
    files: tuple[str, ...]
    digest: str
    source: Source = field(default=Source("", 0))
    delegation: Delegation = Delegation.STRICT
    strip_ech: StripEch = StripEch.GUARDED
    lists: tuple[ListReport, ...] = ()


class CertificateCheck(StrEnum):
    """What is known about the certificate presented at a Connect URL."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class CertificateFact(NamedTuple):
    """The outcome of a check, as a fact that a Request carries."""

    check: CertificateCheck
    reason: str


class Request(NamedTuple):
    """What a plane knows when it asks. ``None`` means "not known yet".

    ``name`` is folded text (see names.fold); an empty name means that there is none.
    ``time_s`` is seconds since the epoch. Of the DNS plane: ``qtype`` is the type that is
    asked for, ``over_tcp`` how, ``nsdnames`` and ``nsips`` are the name servers of the
    zone, folded text and addresses.
    """

    plane: Plane
    name: str = ""
    address: Address | None = None
    port: int | None = None
    client: Address | None = None
    protocol: Protocol | None = None
    certificate: CertificateFact | None = None
    time_s: float = 0.0
    qtype: int | None = None
    over_tcp: bool = False
    nsdnames: tuple[str, ...] | None = None
    nsips: tuple[Address, ...] | None = None


class Verdict(NamedTuple):
    """The answer, with the rule that gave it and where that rule is written.

    ``verify`` names the Connect URL whose certificate must be checked before
    anything is let through: check, then ask again with the fact. ``passthru``: what the
    name leads to need not be judged.
    """

    action: Action
    rule: str
    reason: str
    source: Source
    mode: Mode
    refusal: Refusal = Refusal.NXDOMAIN
    sinkhole: tuple[Address, ...] = ()
    connect_url: ConnectUrl | None = None
    verify: ConnectUrl | None = None
    cname: str = ""
    records: tuple[LocalRecord, ...] = ()
    passthru: bool = False

    @property
    def blocks(self) -> bool:
        return self.action is _BLOCK

    @property
    def recorded(self) -> bool:
        """Whether the audit trail wants it: all but a plain allow."""
        return self.action is not _ALLOW or self.connect_url is not None

    def explain(self, hint: str) -> str:
        """One sentence for whoever was refused; ``hint`` is the Connect URL to use."""
        instead = f"; use {hint}" if hint and self.connect_url is None else ""
        return f"blocked by rule {self.rule}: {self.reason}{instead}"
