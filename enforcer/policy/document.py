"""The shape of a policy file, and the JSON Schema that editors use.

A document is what one file says; load puts files together.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticKnownError

from enforcer.policy.addresses import parse_network
from enforcer.policy.model import MAX_PORT, Action, Mode, OnFailure, PortRange, Protocol
from enforcer.policy.names import parse_host
from enforcer.policy.pattern import parse_pattern

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_STRING = {"type": "string"}
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_RULE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return value


def _host(value: Any) -> str:
    text = _text(value)
    if _is_network(text):
        raise ValueError(f"{text!r} is an address; list it under addresses")
    if "*" in text:
        raise ValueError(f"{text!r} has a *; list it under patterns")
    if text.startswith("."):
        raise ValueError(f"{text!r} starts with a dot; list it under suffixes, without the dot")
    if "/" in text or ":" in text:
        raise ValueError(f"{text!r} is more than a host name; write the host, and the port apart")
    return parse_host(text)


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _suffix(value: Any) -> str:
    return _host(_text(value).strip().removeprefix("."))


def _pattern(value: Any) -> str:
    return parse_pattern(_text(value))


def _network(value: Any) -> Any:
    return parse_network(_text(value))


def _address(value: Any) -> Any:
    text = _text(value)
    if "%" in text:
        raise ValueError(f"{text!r} has a zone; leave out % and what follows")
    try:
        return ip_address(text)
    except ValueError as error:
        raise ValueError(f"{error}; write an address such as 192.0.2.1") from None


def _ports(value: Any) -> PortRange:
    found = None if isinstance(value, bool) else _PORTS.fullmatch(str(value))
    if not found:
        raise ValueError(f"{value!r} is not a port; write 443 or 8000-8100")
    first, last = found.groups()
    ports = PortRange(int(first), int(last or first))
    if not 0 < ports.first <= ports.last <= MAX_PORT:
        raise ValueError(f"{value!r} is not a port; ports go from 1 to {MAX_PORT}, lowest first")
    return ports


def _port(value: Any) -> int:
    try:
        ports = _ports(value)
    except ValueError:
        ports = PortRange(0, 0)
    if ports.first != ports.last or not ports.first:
        raise ValueError(f"{value!r} is not a port; write one number from 1 to {MAX_PORT}")
    return ports.first


def _rule_id(value: Any) -> str:
    text = _text(value)
    if not _RULE_ID.fullmatch(text):
        raise ValueError(
            f"{text!r} is not an id; use up to 64 lower-case letters, digits, dots, hyphens and _"
        )
    return text


def _line(value: Any) -> str:
    return " ".join(_text(value).split())


def _version(value: Any) -> Any:
    if isinstance(value, bool | float):  # True and 1.0 equal 1, and are not what a person means
        raise PydanticKnownError("literal_error", {"expected": "1"})
    return value


Host = Annotated[str, BeforeValidator(_host)]
Suffix = Annotated[str, BeforeValidator(_suffix)]
Pattern = Annotated[str, BeforeValidator(_pattern)]
NetworkText = Annotated[Any, BeforeValidator(_network), WithJsonSchema(_STRING)]
AddressText = Annotated[
    IPv4Address | IPv6Address, BeforeValidator(_address), WithJsonSchema(_STRING)
]
Ports = Annotated[
    Any,
    BeforeValidator(_ports),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_PORT},
                {**_STRING, "pattern": f"^{_PORTS.pattern}$"},
            ]
        }
    ),
]
Port = Annotated[int, Field(ge=1, le=MAX_PORT), BeforeValidator(_port)]
RuleId = Annotated[
    str,
    BeforeValidator(_rule_id),
    WithJsonSchema({**_STRING, "pattern": f"^{_RULE_ID.pattern}$"}),
]
Line = Annotated[str, BeforeValidator(_line)]
Version = Annotated[Literal[1], BeforeValidator(_version)]


# Not as docstrings of the attributes: pydantic would read this file again for each class.
def parts(description: str) -> Any:
    """A list that has an entry where it is given: empty, it would match everything."""
    return Field((), min_length=1, description=description)


class Strict(BaseModel):
    """Refuses unknown keys, so that a slip of the pen is never a rule that is not there."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MatchDocument(Strict):
    """Every key that is given must match; within a key one entry is enough."""

    names: tuple[Host, ...] = parts("Exact names.")
    suffixes: tuple[Suffix, ...] = parts("A name and everything below it.")
    patterns: tuple[Pattern, ...] = parts(
        "Names in which * stands for characters within one label."
    )
    addresses: tuple[NetworkText, ...] = parts(
        "Destination addresses or ranges, v4 or v6; on the DNS plane, addresses in answers."
    )
    ports: tuple[Ports, ...] = parts("Destination ports: 443 or 8000-8100.")
    clients: tuple[NetworkText, ...] = parts("Client addresses or ranges.")
    protocols: tuple[Protocol, ...] = parts("What the client's first bytes are.")


class SinkholeDocument(Strict):
    """Answer with these addresses instead."""

    sinkhole: tuple[AddressText, ...] = Field(min_length=1)


class RuleDocument(Strict):
    """One rule; the most specific rule that matches decides."""

    id: RuleId = Field(
        description="Short name that appears in every record; unique in the whole policy."
    )
    action: Action
    match: MatchDocument
    reason: Line = Field(
        "", description="For people: why this rule is there. Appears in answers and records."
    )
    refusal: Literal["nxdomain", "nodata", "refused"] | SinkholeDocument = Field(
        "nxdomain", description="How the DNS plane answers a blocked name."
    )


class OwnRootsDocument(Strict):
    """Roots of your own, as PEM files beside the policy."""

    roots: tuple[str, ...] = Field(min_length=1)


class ConnectUrlDocument(Strict):
    """A Connect URL that agents may use."""

    host: Host
    port: Port = 443
    issuer: Literal["ngrok", "letsencrypt"] | OwnRootsDocument = Field(
        description="Who must have issued the certificate presented there."
    )
    region_hosts: tuple[Host, ...] = Field(
        (),
        description="The region_domains of the ingress, which agents may be sent on to.",
    )
    addresses: tuple[NetworkText, ...] = Field(
        (), description="Dedicated addresses: when given, the Connect URL is allowed on no other."
    )


class OnFailureDocument(Strict):
    """What a plane does when it cannot find out."""

    dns: OnFailure = OnFailure.CLOSED
    tls: OnFailure = OnFailure.CLOSED


class PackDocument(Strict):
    """A set of rules that policies include."""

    version: Version
    description: str = ""
    rules: tuple[RuleDocument, ...] = ()


class PolicyDocument(Strict):
    """What is allowed; the same on every gateway."""

    version: Version
    mode: Mode = Field(
        Mode.ENFORCE,
        description="monitor blocks nothing and records what enforce would have blocked.",
    )
    default: Action = Field(
        description="What happens to a request that no rule matches. There is no silent default."
    )
    include: tuple[str, ...] = Field(
        (), description="Packs: paths beside this file, or built in such as packs/ngrok.yaml."
    )
    connect_urls: tuple[ConnectUrlDocument, ...] = ()
    rules: tuple[RuleDocument, ...] = ()
    on_failure: OnFailureDocument = OnFailureDocument()


def render_policy_schema() -> dict[str, Any]:
    """JSON Schema of a policy file."""
    return {"$schema": JSON_SCHEMA_DIALECT, **PolicyDocument.model_json_schema()}


def render_pack_schema() -> dict[str, Any]:
    """JSON Schema of a pack."""
    return {"$schema": JSON_SCHEMA_DIALECT, **PackDocument.model_json_schema()}
