"""The shape of a policy file, and the JSON Schema that editors use.

A document is what one file says; load puts files together.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from enforcer.policy.local_data import CNAME
from enforcer.policy.model import Action, Delegation, Mode, OnFailure, Plane, Protocol, StripEch
from enforcer.policy.time_window import DAYS, MINUTES_PER_DAY, Day
from enforcer.policy.written import (
    AddressText,
    ClientText,
    Clock,
    GroupName,
    Host,
    Line,
    NameServer,
    NetworkText,
    OneOrMore,
    Pattern,
    Port,
    Ports,
    QueryType,
    ReadsOff,
    RecordText,
    RuleId,
    Suffix,
    Version,
)

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class RuleAction(StrEnum):
    """What a rule does: ``passthru`` is an allow that ends the search."""

    ALLOW = "allow"
    BLOCK = "block"
    MONITOR = "monitor"
    PASSTHRU = "passthru"


# Not as docstrings of the attributes: pydantic would read this file again for each class.
def parts(description: str) -> Any:
    """A list that has an entry where it is given: empty, it would match everything."""
    return Field((), min_length=1, description=description)


class Strict(BaseModel):
    """Refuses unknown keys, so that a slip of the pen is never a rule that is not there."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WhenDocument(Strict):
    """Times of the week, by the clocks of one place."""

    days: tuple[Day, ...] = Field(
        DAYS, min_length=1, description="The days on which it begins: mon to sun."
    )
    start: Clock = Field(0, alias="from", description='In quotes, such as "08:00".')
    end: Clock = Field(
        MINUTES_PER_DAY,
        alias="to",
        description="Not inside any more; before `from` it is on the next day.",
    )
    timezone: str = Field(description="A zone of the tz database, such as Europe/Berlin or UTC.")

    @model_validator(mode="after")
    def _spans_something(self) -> "WhenDocument":
        if self.start == self.end:
            raise ValueError("from and to are the same time; leave both out for the whole day")
        return self


class MatchDocument(Strict):
    """Every key that is given must match; within a key one entry is enough."""

    names: tuple[Host, ...] = parts("Exact names.")
    suffixes: tuple[Suffix, ...] = parts("A name and everything below it.")
    patterns: tuple[Pattern, ...] = parts(
        "Names in which * stands for characters within one label."
    )
    lists: tuple[str, ...] = parts(
        "Files of names beside this one: hosts files, one name a line, or AdBlock's ||name^."
    )
    addresses: tuple[NetworkText, ...] = parts(
        "Destination addresses or ranges, v4 or v6; on the DNS plane, addresses in answers."
    )
    ports: tuple[Ports, ...] = parts("Destination ports: 443 or 8000-8100.")
    clients: tuple[ClientText, ...] = parts("Client addresses, ranges, or names of groups.")
    protocols: tuple[Protocol, ...] = parts("What the client's first bytes are.")
    nsdnames: tuple[NameServer, ...] = parts(
        "Name servers of the zone that holds the name: a name and everything below it."
    )
    nsips: tuple[NetworkText, ...] = parts("Addresses or ranges of those name servers.")
    qtypes: tuple[QueryType, ...] = parts("What a lookup asks for: A, AAAA, HTTPS, or TYPE65.")
    when: Annotated[tuple[WhenDocument, ...], BeforeValidator(OneOrMore.listed), OneOrMore()] = (
        parts("Times of the week: one mapping, or a list of them.")
    )
    planes: tuple[Plane, ...] = parts("The ways on which a request comes; dns is for lookups.")


class AnswerDocument(Strict):
    """Answer with something else: one of these."""

    sinkhole: tuple[AddressText, ...] = Field(
        (), min_length=1, description="These addresses instead."
    )
    cname: Host | None = Field(
        None,
        description="What this name has, for lookups only; as an alias, so that people see it.",
    )
    records: tuple[RecordText, ...] = Field(
        (),
        min_length=1,
        description='These records, for lookups only: "A 192.0.2.1", "300 TXT hello".',
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> "AnswerDocument":
        if len(self.model_fields_set) != 1:
            raise ValueError("a lookup has one answer; give one of sinkhole, cname and records")
        if len(self.records) > 1 and any(record.rtype == CNAME for record in self.records):
            raise ValueError(
                "a CNAME stands beside other records; "
                "a name that has a CNAME has nothing else (RFC 1034 3.6.2)"
            )
        return self


class RuleDocument(Strict):
    """One rule; the most specific rule that matches decides."""

    id: RuleId = Field(
        description="Short name that appears in every record; unique in the whole policy."
    )
    action: RuleAction
    match: MatchDocument
    reason: Line = Field(
        "", description="For people: why this rule is there. Appears in answers and records."
    )
    refusal: Literal["nxdomain", "nodata", "refused", "drop", "tcp_only"] | AnswerDocument = Field(
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


Groups = Annotated[
    dict[GroupName, Annotated[tuple[NetworkText, ...], Field(min_length=1)]],
    Field(description="Names for client ranges, which rules in this file may use."),
]


class PackDocument(Strict):
    """A set of rules that policies include."""

    version: Version
    description: str = ""
    groups: Groups = {}
    rules: tuple[RuleDocument, ...] = ()


class RpzDocument(Strict):
    """A response policy zone, as BIND, unbound and others read it."""

    id: RuleId = Field(description="Stands before the owner name in records.")
    file: str = Field(description="A zone file beside this one.")
    reason: Line = Field("", description="For people: whose zone it is.")
    override: Literal["given", "nxdomain", "nodata", "passthru", "disabled"] = Field(
        "given", description="What is done in place of what the zone says."
    )


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
    groups: Groups = {}
    rules: tuple[RuleDocument, ...] = ()
    rpz: tuple[RpzDocument, ...] = Field(
        (), description="Response policy zones; of two that match, the first one counts."
    )
    delegation: Annotated[Delegation, ReadsOff] = Field(
        Delegation.STRICT,
        description="When name servers are asked for, where rules have nsdnames or nsips: "
        "before the answer (strict), beside it (async), or not (off).",
    )
    strip_ech: StripEch = Field(
        StripEch.GUARDED,
        description="Which HTTPS and SVCB answers lose ech: of names that the policy is about "
        "(guarded), all, or none (never).",
    )
    on_failure: OnFailureDocument = OnFailureDocument()


def render_policy_schema() -> dict[str, Any]:
    """JSON Schema of a policy file."""
    return {"$schema": JSON_SCHEMA_DIALECT, **PolicyDocument.model_json_schema()}


def render_pack_schema() -> dict[str, Any]:
    """JSON Schema of a pack."""
    return {"$schema": JSON_SCHEMA_DIALECT, **PackDocument.model_json_schema()}
