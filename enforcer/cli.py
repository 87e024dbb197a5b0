"""The commands: arguments in, text or JSON out, exit codes.

Each command imports what it needs when it runs, so that all but ``run`` answer at
once. Exit codes: 0 done or accepted, 1 refused or not possible, 2 wrong usage or a
file that must not be used.
"""

import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import enforcer
from enforcer.policy.source import PolicyError

if TYPE_CHECKING:
    from enforcer.policy.compile import CompiledPolicy
    from enforcer.policy.model import Request
    from enforcer.settings import Settings

REFUSED = 1
USAGE = 2
# How long `verify` waits for a handshake.
VERIFY_TIMEOUT_S = 10.0
SYSTEM_SETTINGS = Path("/etc/enforcer/enforcer.yaml")

app = typer.Typer(
    help="Make your own ngrok Connect URL the only way out for ngrok agents.",
    epilog="Start with: enforcer run. Then, in another terminal: enforcer explain "
    "connect.ngrok-agent.com",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="ENFORCER_CONFIG",
        metavar="F",
        help=f"Settings file. Without it {SYSTEM_SETTINGS} if that exists, else the defaults.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


class Via(StrEnum):
    """The roads that explain can take."""

    DNS = "dns"
    TLS = "tls"
    CONNECT = "connect"
    HTTP = "http"
    SSH = "ssh"


def main() -> None:
    """Run the command line; files that must not be used end it with exit code 2."""
    try:
        app()
    except PolicyError as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        sys.exit(USAGE)


@app.command()
def run(config: ConfigOption = None) -> None:
    """Start the gateway: DNS responder, proxy, TLS gate and admin listener.

    Example: enforcer run --config /etc/enforcer/enforcer.yaml

    SIGHUP or a changed policy file reloads the policy; SIGTERM drains and ends.
    """
    from enforcer.audit.sinks import configure_logging
    from enforcer.policy.admit import admit_policy

    settings = _settings(config)
    policy = admit_policy(settings.policy)
    configure_logging()
    _warn(policy)
    import uvloop

    from enforcer.banner import render_banner
    from enforcer.service import ListenError, Service

    async def serve() -> None:
        service = Service(settings, policy)
        await service.start()
        typer.echo(render_banner(service.listening, policy, service.upstreams, settings))
        await service.run_until_stopped()

    try:
        uvloop.run(serve())
    except ListenError as error:
        _fail(str(error), REFUSED)


@app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[F...]", help="Settings, policies, packs.")
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="Print a JSON Schema for editors instead: policy, pack or settings."),
    ] = None,
) -> None:
    """Check settings, policy and pack files; without any, the ones that run would use.

    Example: enforcer check policies/*.yaml
    """
    from enforcer.check import check_file, render_schema

    if schema is not None:
        _print_json(render_schema(schema))
        return
    problems = 0
    for file in files or [None]:
        try:
            result = check_file(file or _config_path(None))
        except PolicyError as error:
            problems += len(error.problems)
            for problem in error.problems:
                typer.echo(f"error: {problem}", err=True)
        else:
            for warning in result.warnings:
                typer.echo(f"warning: {warning}", err=True)
            typer.echo(result.summary)
    if problems:
        raise typer.Exit(USAGE)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="A host name, or an address.")],
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
    address: Annotated[str | None, typer.Option(help="Destination address.")] = None,
    client: Annotated[str | None, typer.Option(help="Client address.")] = None,
    via: Annotated[Via | None, typer.Option(help="The road; dns, or connect with a port.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the policy does with a request, and which rule on which line says so.

    Example: enforcer explain crl.ngrok-agent.com --via http
    """
    from enforcer.policy.admit import admit_policy
    from enforcer.policy.decide import decide

    policy = admit_policy(_settings(config).policy)
    road = via or (Via.CONNECT if port or address else Via.DNS)
    verdict = decide(policy, _request(name, port, address, client, road))
    answer = {
        "action": verdict.action.value,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "file": verdict.source.file,
        "line": verdict.source.line,
        "mode": verdict.mode.value,
        "verify": str(verdict.verify) if verdict.verify else None,
    }
    if as_json:
        _print_json(answer)
        return
    then = (
        "\nthen    its certificate must be accepted, see enforcer verify" if verdict.verify else ""
    )
    typer.echo(
        f"{verdict.action.value}: {_plain(name)} via {road.value}\n"
        f"rule    {verdict.rule}\nreason  {verdict.reason}\nfrom    {verdict.source}{then}"
    )


@app.command()
def verify(
    target: Annotated[
        str | None, typer.Argument(metavar="[HOST[:PORT]]", help="Connect there and look.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Connect to this address.")] = None,
    chain: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Offline: a presented chain.")
    ] = None,
    host: Annotated[str | None, typer.Option(metavar="NAME", help="With --chain.")] = None,
    roots: Annotated[
        str | None,
        typer.Option(
            metavar="ngrok|letsencrypt|PEM",
            help="Who must have issued it; the policy's word for a Connect URL, else either.",
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="RFC3339", help="Judge as of this time.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify who issued the certificate at a Connect URL. Exit 0 accepted, 1 refused.

    Examples: enforcer verify connect.example.com
    enforcer verify --chain presented.pem --host connect.example.com --roots ngrok
    """
    from enforcer.policy.admit import admit_policy
    from enforcer.verify import VerifyError, verify_offline, verify_online

    try:
        if chain is not None and host is not None and target is None:
            result = verify_offline(chain, host, roots, at)
        elif target is not None and chain is None and host is None:
            policy = None if roots else admit_policy(_settings(config).policy)
            result = verify_online(target, address, roots, at, policy, VERIFY_TIMEOUT_S)
        else:
            _fail("give HOST[:PORT], or --chain PEM with --host NAME", USAGE)
    except VerifyError as error:
        _fail(str(error), USAGE)
    if as_json:
        _print_json(result.as_dict())
    else:
        typer.echo(result.as_text())
    raise typer.Exit(0 if result.accepted else REFUSED)


@app.command()
def audit(
    since: Annotated[str | None, typer.Option(help="1h, 30m, 7d, or an RFC 3339 time.")] = None,
    client: Annotated[str | None, typer.Option(help="Client address or range.")] = None,
    name: Annotated[str | None, typer.Option(help="Name, or *.suffix.")] = None,
    action: Annotated[str | None, typer.Option(help="allow, block or monitor.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was blocked, monitored, or touched a Connect URL; newest last.

    Example: enforcer audit --since 1h --action block
    """
    from enforcer.audit.listing import list_events

    try:
        events = list_events(
            _settings(config).audit.path,
            since=since,
            client=client,
            name=name,
            action=action,
            limit=limit,
            now_s=time.time(),
        )
    except ValueError as error:
        _fail(str(error), USAGE)
    _ = events, as_json


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the version."""
    if as_json:
        _print_json({"version": enforcer.__version__})
    else:
        typer.echo(f"enforcer {enforcer.__version__}")


def _config_path(config: Path | None) -> Path | None:
    return config or (SYSTEM_SETTINGS if SYSTEM_SETTINGS.is_file() else None)


def _settings(config: Path | None) -> "Settings":
    from enforcer.settings import default_settings, load_settings

    path = _config_path(config)
    return load_settings(path) if path else default_settings()


def _request(
    name: str, port: int | None, address: str | None, client: str | None, via: Via
) -> "Request":
    from enforcer.policy.addresses import parse_address
    from enforcer.policy.model import Plane, Protocol, Request
    from enforcer.policy.names import parse_host

    facts: dict[Via, tuple[Plane, Protocol | None, int | None]] = {
        Via.DNS: (Plane.DNS, None, None),
        Via.TLS: (Plane.TLS, Protocol.TLS, 443),
        Via.CONNECT: (Plane.CONNECT, None, 443),
        Via.HTTP: (Plane.HTTP, Protocol.HTTP, 80),
        Via.SSH: (Plane.TLS, Protocol.SSH, 22),
    }
    plane, protocol, usual_port = facts[via]
    try:
        destination = parse_address(address) if address else None
        try:
            destination, host = destination or parse_address(name), ""
        except ValueError:
            host = parse_host(name)
        return Request(
            plane=plane,
            name=host,
            address=destination,
            port=port or usual_port,
            client=parse_address(client) if client else None,
            protocol=protocol,
        )
    except ValueError as error:
        _fail(str(error), USAGE)


def _warn(policy: "CompiledPolicy") -> None:
    for warning in policy.warnings:
        typer.echo(f"warning: {warning}", err=True)


def _plain(text: str) -> str:
    """Attacker-controlled text without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)
