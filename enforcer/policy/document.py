"""The shape of a policy file, and the JSON Schema that editors use.

A document is what one file says; load puts files together.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from enforcer.policy.model import Action, Mode, OnFailure, PortRange, Protocol, Refusal
from enforcer.policy.names import parse_host
from enforcer.policy.pattern import parse_pattern

MAX_PORT = 65535
_STRING = {"type": "string"}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text; put it in quotes")  # noqa: TRY004 pydantic's way
    return value


def _host(value: Any) -> str:
    text = _text(value)
    if "*" in text:
        raise ValueError(f"{text!r} has a *; list it under patterns")
    try:
        ip_address(text)
    except ValueError:
        return parse_host(text.removeprefix("."))
    raise ValueError(f"{text!r} is an address; list it under addresses")


def _pattern(value: Any) -> str:
    return parse_pattern(_text(value))


def _network(value: Any) -> Any:
    try:
        return ip_network(_text(value))
    except ValueError as error:
        try:
            remedy = f"write {ip_network(str(value), strict=False)}"
        except ValueError:
            remedy = "write an address or a range such as 203.0.113.0/24"
        raise ValueError(f"{error}; {remedy}") from error


def _address(value: Any) -> Any:
    try:
        return ip_address(_text(value))
    except ValueError as error:
        raise ValueError(f"{error}; write an address such as 192.0.2.1") from error


def _ports(value: Any) -> PortRange:
    first, _, last = str(value).partition("-")
    try:
        ports = PortRange(int(first), int(last or first))
    except ValueError:
        raise ValueError(f"{value!r} is not a port; write 443 or 8000-8100") from None
    if not 0 < ports.first <= ports.last <= MAX_PORT:
        raise ValueError(f"{value!r} is not a port; ports go from 1 to {MAX_PORT}, lowest first")
    return ports


Host = Annotated[str, BeforeValidator(_host)]
Pattern = Annotated[str, BeforeValidator(_pattern)]
NetworkText = Annotated[Any, BeforeValidator(_network), WithJsonSchema(_STRING)]
AddressText = Annotated[
    IPv4Address | IPv6Address, BeforeValidator(_address), WithJsonSchema(_STRING)
]
Ports = Annotated[
    Any,
    BeforeValidator(_ports),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_PORT}, _STRING]}),
]
Port = Annotated[int, Field(ge=1, le=MAX_PORT)]
RuleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]


class Strict(BaseModel):
    """Refuses unknown keys, so that a slip of the pen is never a rule that is not there."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class MatchDocument(Strict):
    """Every key that is given must match; within a key one entry is enough."""

    names: tuple[Host, ...] = ()
    """Exact names."""
    suffixes: tuple[Host, ...] = ()
    """A name and everything below it."""
    patterns: tuple[Pattern, ...] = ()
    """Names in which * stands for characters within one label."""
    addresses: tuple[NetworkText, ...] = ()
    """Destination addresses or ranges, v4 or v6; on the DNS plane, addresses in answers."""
    ports: tuple[Ports, ...] = ()
    """Destination ports: 443 or 8000-8100."""
    clients: tuple[NetworkText, ...] = ()
    """Client addresses or ranges."""
    protocols: tuple[Protocol, ...] = ()
    """What the client's first bytes are."""


class SinkholeDocument(Strict):
    """Answer with these addresses instead."""

    sinkhole: tuple[AddressText, ...] = Field(min_length=1)


class RuleDocument(Strict):
    """One rule; the most specific rule that matches decides."""

    id: RuleId
    """Short name that appears in every record; unique in the whole policy."""
    action: Action
    match: MatchDocument
    reason: str = ""
    """For people: why this rule is there. Appears in answers and records."""
    refusal: Literal[Refusal.NXDOMAIN, Refusal.NODATA, Refusal.REFUSED] | SinkholeDocument = (
        Refusal.NXDOMAIN
    )
    """How the DNS plane answers a blocked name."""


class OwnRootsDocument(Strict):
    """Roots of your own, as PEM files beside the policy."""

    roots: tuple[str, ...] = Field(min_length=1)


class ConnectUrlDocument(Strict):
    """A Connect URL that agents may use."""

    host: Host
    port: Port = 443
    issuer: Literal["ngrok", "letsencrypt"] | OwnRootsDocument
    """Who must have issued the certificate presented there."""
    region_hosts: tuple[Host, ...] = ()
    """The region_domains of the ingress, which agents may be sent to after they authenticate."""
    addresses: tuple[NetworkText, ...] = ()
    """Dedicated addresses: when given, the Connect URL is allowed on no other."""


class OnFailureDocument(Strict):
    """What a plane does when it cannot find out."""

    dns: OnFailure = OnFailure.CLOSED
    tls: OnFailure = OnFailure.CLOSED


class PackDocument(Strict):
    """A set of rules that policies include."""

    version: Literal[1]
    description: str = ""
    rules: tuple[RuleDocument, ...] = ()


class PolicyDocument(Strict):
    """What is allowed; the same on every gateway."""

    version: Literal[1]
    mode: Mode = Mode.ENFORCE
    """monitor blocks nothing and records what enforce would have blocked."""
    default: Action
    """What happens to a request that no rule matches. There is no silent default."""
    include: tuple[str, ...] = ()
    """Packs: paths beside this file, or built in such as packs/ngrok.yaml."""
    connect_urls: tuple[ConnectUrlDocument, ...] = ()
    rules: tuple[RuleDocument, ...] = ()
    on_failure: OnFailureDocument = OnFailureDocument()


def render_json_schema() -> dict[str, Any]:
    """JSON Schema of a policy file."""
    schema = PolicyDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
