"""``enforcer.yaml`` to Settings: where this gateway listens, stores and asks.

What is allowed stands in the policy, not here. Relative paths are relative to the
settings file. Raises PolicyError for a file that must not be used.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from enforcer.policy.document import JSON_SCHEMA_DIALECT
from enforcer.policy.load import read_document
from enforcer.policy.model import MAX_PORT
from enforcer.policy.source import Located, PolicyError, Problem, render_path
from enforcer.state import default_audit_path

Place = tuple[str | int, ...]

DNS_PORT = 53
RESOLV_CONF = Path("/etc/resolv.conf")
_ENDPOINT = re.compile(r"(?:\[([^\]]*)\]|([^:]*)):([0-9]{1,5})")


class Endpoint(NamedTuple):
    """An address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str, default_port: int | None = None) -> Endpoint:
    """``192.0.2.1:53``, ``[2001:db8::1]:53``, or without the port where there is a default.

    Raises ValueError.
    """
    found = _ENDPOINT.fullmatch(text)
    try:
        if found is None:
            endpoint = Endpoint(str(ip_address(text)), -1 if default_port is None else default_port)
        else:
            endpoint = Endpoint(str(ip_address(found[1] or found[2])), int(found[3]))
    except ValueError:
        endpoint = None
    if endpoint is None or not 0 <= endpoint.port <= MAX_PORT:
        raise ValueError(
            f"{text!r} is not an address with a port; write it as 192.0.2.1:53 or [2001:db8::1]:53"
        )
    return endpoint


def _listener(value: Any) -> Any:
    return parse_endpoint(str(value))


def _upstream(value: Any) -> Any:
    endpoint = parse_endpoint(str(value), DNS_PORT)
    if not endpoint.port:
        raise ValueError(f"{value!r} has port 0, where nobody listens; write {DNS_PORT}")
    return endpoint


def _expand(value: Path) -> Path:
    try:
        return value.expanduser()
    except RuntimeError:
        raise ValueError(f"{str(value)!r}: there is no such home; write it in full") from None


_TEXT = WithJsonSchema({"type": "string"})
Listener = Annotated[Any, BeforeValidator(_listener), _TEXT]
Upstream = Annotated[Any, BeforeValidator(_upstream), _TEXT]
FilePath = Annotated[Path, AfterValidator(_expand)]


class Section(BaseModel):
    # Defaults are written as a person would write them, and checked like what is written.
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )


class ListenSettings(Section):
    """Where each plane listens. Unprivileged ports by default; nftables redirects to them."""

    dns: tuple[Listener, ...] = ("127.0.0.1:5053",)
    """UDP and TCP."""
    proxy: tuple[Listener, ...] = ("127.0.0.1:8080",)
    """HTTP CONNECT, SOCKS5 and plain HTTP, told apart by the first byte."""
    tls: tuple[Listener, ...] = ("127.0.0.1:8443",)
    """Redirected connections (SO_ORIGINAL_DST)."""
    admin: Listener = "127.0.0.1:9053"
    """/metrics, /healthz and /readyz."""


class DnsSettings(Section):
    upstreams: tuple[Upstream, ...] = ()
    """Resolvers that are asked; when empty, those of /etc/resolv.conf."""
    timeout_ms: int = Field(default=2000, ge=10, le=60_000)
    """How long one upstream may take before the next is asked."""


class TlsSettings(Section):
    peek_timeout_ms: int = Field(default=5000, ge=10, le=60_000)
    """How long a client may take to say what it wants."""
    connect_timeout_ms: int = Field(default=5000, ge=10, le=60_000)
    """How long a destination may take to accept, and to present its certificate."""
    idle_timeout_seconds: int = Field(default=3600, ge=1)
    """How long a spliced connection may be silent."""
    verified_for_seconds: int = Field(default=300, ge=1)
    """How long the result of a certificate check is used."""
    max_connections: int = Field(default=20_000, ge=1)
    """How many connections the gate holds at most."""


class AuditSettings(Section):
    path: FilePath = Field(default_factory=default_audit_path)
    """The SQLite store; when left out, audit.db in the service's or user's state directory."""
    flush_interval_ms: int = Field(default=1000, ge=10, le=60_000)
    """What a SIGKILL can lose at most."""


class Settings(Section):
    """One gateway."""

    policy: FilePath | None = None
    """The policy file; when left out, the policy that ships."""
    listen: ListenSettings = ListenSettings()
    dns: DnsSettings = DnsSettings()
    tls: TlsSettings = TlsSettings()
    audit: AuditSettings = Field(default_factory=AuditSettings)
    drain_seconds: int = Field(default=10, ge=0)
    """How long open connections may go on after SIGTERM."""


def load_settings(path: Path, *, needs_policy: bool = True) -> Settings:
    """The settings file at ``path``; the policy that it names must be there if it is needed."""
    located = read_document(path)
    settings = _relative_to(located.validate(Settings), path.parent)
    problems = [*_doubles(located, settings.listen)]
    if needs_policy and settings.policy:
        problems += _unreadable(located, settings.policy)
    if problems:
        raise PolicyError(problems)
    return settings


def _doubles(located: Located, listen: ListenSettings) -> Iterator[Problem]:
    listeners: list[tuple[Place, Endpoint]] = [
        (("listen", plane, index), endpoint)
        for plane in ("dns", "proxy", "tls")
        for index, endpoint in enumerate(getattr(listen, plane))
    ]
    taken: dict[Endpoint, Place] = {}
    for place, endpoint in (*listeners, (("listen", "admin"), listen.admin)):
        # Port 0 is another one each time.
        if endpoint.port and endpoint in taken:
            problem = f"{endpoint} is taken already, by {render_path(taken[endpoint])}"
            yield located.problem(place, problem, "give it another port or address")
        taken[endpoint] = place


def _unreadable(located: Located, policy: Path) -> Iterator[Problem]:
    try:
        policy.open("rb").close()
    except OSError as error:
        problem = f"{policy} cannot be read: {error.strerror}"
        remedy = "correct the path, or the file's permissions"
        yield located.problem(("policy",), problem, remedy)
    except ValueError:
        problem, remedy = f"{str(policy)!r} is not a path", "remove the character that no path has"
        yield located.problem(("policy",), problem, remedy)


def default_settings() -> Settings:
    """What a gateway without a settings file goes by."""
    return Settings()


def render_settings_schema() -> dict[str, Any]:
    """JSON Schema of a settings file."""
    return {"$schema": JSON_SCHEMA_DIALECT, **Settings.model_json_schema()}


def _relative_to(settings: Settings, folder: Path) -> Settings:
    audit = settings.audit.model_copy(update={"path": folder / settings.audit.path})
    policy = folder / settings.policy if settings.policy else None
    return settings.model_copy(update={"audit": audit, "policy": policy})


def system_upstreams(resolv_conf: Path = RESOLV_CONF) -> tuple[Endpoint, ...]:
    """The ``nameserver`` lines of resolv.conf(5)."""
    try:
        lines = resolv_conf.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    words = (line.split() for line in lines)
    servers = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    upstreams = []
    for server in servers:
        try:
            upstreams.append(Endpoint(str(ip_address(server)), DNS_PORT))
        except ValueError:
            continue
    return tuple(upstreams)
