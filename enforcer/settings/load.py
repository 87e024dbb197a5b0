"""A settings file to Settings, or every problem with it.

Relative paths are relative to the settings file. Raises PolicyError for a file that must
not be used.
"""

import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from enforcer.policy.document import JSON_SCHEMA_DIALECT
from enforcer.policy.load import read_document
from enforcer.policy.source import Located, PolicyError, Problem, render_path
from enforcer.settings.dns import DnsSettings
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.gateway import ListenSettings, Settings
from enforcer.settings.serving import DotSettings
from enforcer.settings.upstream import Upstream

Place = tuple[str | int, ...]

RESOLV_CONF = Path("/etc/resolv.conf")


def load_settings(path: Path, *, needs_policy: bool = True) -> Settings:
    """The settings file at ``path``; the policy that it names must be there if it is needed."""
    located = read_document(path)
    settings = _relative_to(located.validate(Settings), path.parent)
    problems = [*_doubles(located, settings.listen), *_repeated(located, settings.dns)]
    problems += _without_certificate(located, settings)
    if needs_policy and settings.policy:
        problems += _unreadable(located, ("policy",), settings.policy)
    if needs_policy and settings.dns.upstream_ca_file:
        problems += _unusable_roots(located, settings.dns.upstream_ca_file)
    if needs_policy and settings.dns.dot:
        for key in ("certificate", "key"):
            problems += _unreadable(located, ("dns", "dot", key), getattr(settings.dns.dot, key))
    for index, transfer in enumerate(settings.dns.transfers if needs_policy else ()):
        if transfer.tsig:
            place: Place = ("dns", "transfers", index, "tsig", "secret_file")
            problems += _unreadable(located, place, transfer.tsig.secret_file)
    if problems:
        raise PolicyError(problems)
    return settings


def _doubles(located: Located, listen: ListenSettings) -> Iterator[Problem]:
    listeners: list[tuple[Place, Endpoint]] = [
        (("listen", plane, index), endpoint)
        for plane in ("dns", "dot", "proxy", "tls")
        for index, endpoint in enumerate(getattr(listen, plane))
    ]
    taken: dict[Endpoint, Place] = {}
    for place, endpoint in (*listeners, (("listen", "admin"), listen.admin)):
        # Port 0 is another one each time.
        if endpoint.port and endpoint in taken:
            problem = f"{endpoint} is taken already, by {render_path(taken[endpoint])}"
            yield located.problem(place, problem, "give it another port or address")
        taken[endpoint] = place


def _repeated(located: Located, dns: DnsSettings) -> Iterator[Problem]:
    """Two upstreams for one suffix, of which only one would be asked."""
    taken: dict[str, Place] = {}
    for index, forward in enumerate(dns.forward):
        for below, suffix in enumerate(forward.suffixes):
            place: Place = ("dns", "forward", index, "suffixes", below)
            if suffix in taken:
                problem = f"{suffix} stands already at {render_path(taken[suffix])}"
                yield located.problem(place, problem, "keep one of the two")
            taken[suffix] = place


def _without_certificate(located: Located, settings: Settings) -> Iterator[Problem]:
    if settings.listen.dot and not settings.dns.dot:
        problem = "DNS over TLS needs a certificate"
        remedy = "add dns: {dot: {certificate: chain.pem, key: key.pem}}"
        yield located.problem(("listen", "dot"), problem, remedy)


def _unreadable(located: Located, place: Place, path: Path) -> Iterator[Problem]:
    try:
        path.open("rb").close()
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror}"
        remedy = "correct the path, or the file's permissions"
        yield located.problem(place, problem, remedy)
    except ValueError:
        problem, remedy = f"{str(path)!r} is not a path", "remove the character that no path has"
        yield located.problem(place, problem, remedy)


def _unusable_roots(located: Located, path: Path) -> Iterator[Problem]:
    place: Place = ("dns", "upstream_ca_file")
    unreadable = list(_unreadable(located, place, path))
    yield from unreadable
    if unreadable:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError):
        problem = f"{path} holds no certificate that can be used"
        yield located.problem(place, problem, "name a file with certificates in PEM")


def default_settings() -> Settings:
    """What a gateway without a settings file goes by."""
    return Settings()


def render_settings_schema() -> dict[str, Any]:
    """JSON Schema of a settings file."""
    return {"$schema": JSON_SCHEMA_DIALECT, **Settings.model_json_schema()}


def _relative_to(settings: Settings, folder: Path) -> Settings:
    audit = settings.audit.model_copy(update={"path": folder / settings.audit.path})
    policy = folder / settings.policy if settings.policy else None
    roots = settings.dns.upstream_ca_file
    dot = settings.dns.dot
    if dot:
        dot = DotSettings(certificate=folder / dot.certificate, key=folder / dot.key)
    transfers = tuple(transfer.beside(folder) for transfer in settings.dns.transfers)
    dns = settings.dns.model_copy(
        update={
            "upstream_ca_file": folder / roots if roots else None,
            "dot": dot,
            "transfers": transfers,
        }
    )
    return settings.model_copy(update={"audit": audit, "policy": policy, "dns": dns})


def system_upstreams(resolv_conf: Path = RESOLV_CONF) -> tuple[Upstream, ...]:
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
            upstreams.append(Upstream(str(ip_address(server))))
        except ValueError:
            continue
    return tuple(upstreams)
