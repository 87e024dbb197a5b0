"""A settings file to Settings, or every problem with it.

Relative paths are relative to the settings file. Raises PolicyError for a file that must
not be used.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from enforcer.policy.document import JSON_SCHEMA_DIALECT
from enforcer.policy.load import read_document
from enforcer.policy.source import Located, PolicyError, Problem, render_path
from enforcer.settings.endpoint import DNS_PORT, Endpoint
from enforcer.settings.gateway import ListenSettings, Settings

Place = tuple[str | int, ...]

RESOLV_CONF = Path("/etc/resolv.conf")


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
