"""How the entries of a policy file are written: what each becomes, and what is wrong with it.

Each is a type for document; a ValueError says what is wrong, and after a semicolon what
would be right.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, PydanticKnownError

from enforcer.policy.addresses import parse_network
from enforcer.policy.local_data import parse_record
from enforcer.policy.model import MAX_PORT, LocalRecord, PortRange
from enforcer.policy.names import parse_host
from enforcer.policy.pattern import parse_pattern
from enforcer.policy.query_type import parse_query_type
from enforcer.policy.time_window import MINUTES_PER_DAY

_STRING = {"type": "string"}
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_RULE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# No range looks like one: those have dots or colons.
_GROUP = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return value


def _host(value: Any) -> str:
    text = _text(value)
    if _is_network(text):
        raise ValueError(f"{text!r} is an address; list it under addresses")
    if "*" in text:
        raise ValueError(f"{text!r} has a *; {_without_star(text)}")
    if text.startswith("."):
        raise ValueError(f"{text!r} starts with a dot; list it under suffixes, without the dot")
    if "/" in text or ":" in text:
        raise ValueError(f"{text!r} is more than a host name; write the host, and the port apart")
    return parse_host(text)


def _without_star(text: str) -> str:
    below = text.removeprefix("*.")
    # A pattern's star is one label, and *.name is mostly meant as all that is below.
    is_all_below = below != text and "*" not in below
    return f"write {below} under suffixes" if is_all_below else "list it under patterns"


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _suffix(value: Any) -> str:
    return _host(_text(value).strip().removeprefix("."))


def _name_server(value: Any) -> str:
    text = _text(value)
    below = text.rpartition("*")[2].lstrip(".")
    if "*" in text:
        remedy = f"write {below}, which stands for all below it, too" if below else "write a name"
        raise ValueError(f"{text!r} has a *; {remedy}")
    return _suffix(text)


def _pattern(value: Any) -> str:
    return parse_pattern(_text(value))


def _network(value: Any) -> Any:
    return parse_network(_text(value))


def _client(value: Any) -> Any:
    text = _text(value)
    return text if _GROUP.fullmatch(text) else parse_network(text)


def _group(value: Any) -> str:
    text = _text(value)
    if not _GROUP.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a name of a group; "
            "use up to 64 lower-case letters, digits, hyphens and _, a letter first"
        )
    return text


def _query_type(value: Any) -> int:
    return parse_query_type(_text(value))


def _record(value: Any) -> LocalRecord:
    return parse_record(_text(value))


def _minutes(value: Any) -> int:
    found = _CLOCK.fullmatch(_text(value))
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if not found or int(found[2]) >= 60 or not 0 <= minutes <= MINUTES_PER_DAY:  # noqa: PLR2004
        raise ValueError(f"{value!r} is not a time of day; write one from 00:00 to 24:00")
    return minutes


def _off(value: Any) -> Any:
    return "off" if value is False else value  # YAML 1.1 reads a bare off as false


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
NameServer = Annotated[str, BeforeValidator(_name_server)]
Pattern = Annotated[str, BeforeValidator(_pattern)]
NetworkText = Annotated[Any, BeforeValidator(_network), WithJsonSchema(_STRING)]
AddressText = Annotated[
    IPv4Address | IPv6Address, BeforeValidator(_address), WithJsonSchema(_STRING)
]
ClientText = Annotated[Any, BeforeValidator(_client), WithJsonSchema(_STRING)]
GroupName = Annotated[
    str, BeforeValidator(_group), WithJsonSchema({**_STRING, "pattern": f"^{_GROUP.pattern}$"})
]
QueryType = Annotated[Any, BeforeValidator(_query_type), WithJsonSchema(_STRING)]
RecordText = Annotated[Any, BeforeValidator(_record), WithJsonSchema(_STRING)]
Clock = Annotated[
    int,
    BeforeValidator(_minutes),
    WithJsonSchema({**_STRING, "pattern": f"^{_CLOCK.pattern}$"}),
]
ReadsOff = BeforeValidator(_off)
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


class OneOrMore:
    """Lets one mapping stand where a list of them is wanted."""

    @staticmethod
    def listed(value: Any) -> Any:
        return (value,) if isinstance(value, dict) else value

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        listed = handler(schema)
        return {"anyOf": [listed["items"], listed]}
