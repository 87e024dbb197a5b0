"""The commands: arguments in, text or JSON out, exit codes.

Each command imports what it needs when it runs, so that all but ``run`` answer at
once. Exit codes: 0 done or accepted, 1 refused or not possible, 2 wrong usage or a
file that must not be used. What may come from the network or from a file is escaped.
"""

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import enforcer
from enforcer.terminal import coloured, complain, fail, print_json, write_lines, write_text

if TYPE_CHECKING:
    from enforcer.audit.event import AuditEvent
    from enforcer.settings.gateway import Settings

REFUSED = 1
USAGE = 2
# How long `verify` waits for a handshake.
VERIFY_TIMEOUT_S = 10.0
SYSTEM_SETTINGS = Path("/etc/enforcer/enforcer.yaml")
# As many as a person reads; programs get all.
ROWS_AT_A_TERMINAL = 100
# More than any store has, and no more than SQLite counts.
MAX_ROWS = 1_000_000_000

app = typer.Typer(
    help="Make your own ngrok Connect URL the only way out for ngrok agents.",
    epilog="Exit codes: 0 done or accepted, 1 refused or not possible, 2 wrong usage or a file "
    "that must not be used.\n\n\b\nStart with:\n  enforcer run\nand in another terminal:\n"
    "  enforcer explain connect.ngrok-agent.com",
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


def _examples(*commands: str) -> str:
    # \b keeps click from filling the lines.
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))


class Via(StrEnum):
    """The roads that explain can take: the words of enforcer.explain.ROADS."""

    DNS = "dns"
    TLS = "tls"
    CONNECT = "connect"
    HTTP = "http"
    SSH = "ssh"


def _print_version(asked: bool) -> None:  # noqa: FBT001 typer's
    if asked:
        write_text(f"enforcer {enforcer.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """What stands before a command."""


def main() -> None:
    """Run the command line; files that must not be used end it with exit code 2."""
    # pydantic looks for plugins in every package that is installed, and none is ours.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal without UTF-8 is no reason to end with a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except Exception as error:
        from enforcer.policy.source import PolicyError

        if not isinstance(error, PolicyError):
            raise
        complain("error", error.problems)
        sys.exit(USAGE)


@app.command(
    short_help="Start the gateway: DNS, proxy, TLS gate and admin listener.",
    epilog=_examples(
        "enforcer run",
        "enforcer run --config /etc/enforcer/enforcer.yaml",
    ),
)
def run(config: ConfigOption = None) -> None:
    """Start the gateway: DNS responder, proxy, TLS gate and admin listener.

    SIGHUP or a changed policy file reloads the policy. SIGTERM drains, and ends with 0.
    """
    from enforcer.audit.schema import AuditStoreError
    from enforcer.audit.sinks import configure_logging
    from enforcer.policy.admit import admit_policy

    settings = _settings(config)
    if settings.dns.transfers:
        from enforcer.dns.transfers.transfer import TransferError, fetch_missing

        try:
            fetch_missing(settings.dns.transfers)
        except TransferError as error:
            fail(str(error), REFUSED)
    policy = admit_policy(settings.policy)
    configure_logging()
    for warning in policy.warnings:
        logging.getLogger("enforcer").warning("%s", warning)
    import uvloop

    from enforcer.banner import render_banner
    from enforcer.service import Service, StartError

    async def serve() -> None:
        service = Service(settings, policy)
        await service.start()
        # Nobody reads it, maybe; that is no reason not to serve.
        with contextlib.suppress(OSError):
            write_text(render_banner(service.listening, policy, service.upstreams, settings))
        await service.run_until_stopped()

    try:
        uvloop.run(serve())
    except (AuditStoreError, StartError) as error:
        fail(str(error), REFUSED)


@app.command(
    short_help="Check settings, policy and pack files.",
    epilog=_examples(
        "enforcer check",
        "enforcer check policies/*.yaml",
        "enforcer check --schema policy > policy.schema.json",
    ),
)
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[F...]", help="Settings, policies, packs.")
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="Print a JSON Schema for editors instead: policy, pack or settings."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Check settings, policy and pack files; without any, the ones that run would use.

    Exit 0 when all may be used, 2 when one must not be. Warnings do not change that.
    """
    from enforcer.check import check_file, render_schema
    from enforcer.policy.source import PolicyError

    if schema is not None:
        if files:
            fail("--schema takes no file; leave out one of the two", USAGE)
        print_json(render_schema(schema))
        return
    problems = 0
    for file in files or (None,):
        try:
            result = check_file(file or _config_path(config))
        except PolicyError as error:
            problems += len(error.problems)
            complain("error", error.problems)
        else:
            complain("warning", result.warnings)
            write_text(result.summary)
    if problems:
        raise typer.Exit(USAGE)


@app.command(
    short_help="Say what the policy does with a request, and which rule says so.",
    epilog=_examples(
        "enforcer explain connect.ngrok-agent.com",
        "enforcer explain crl.ngrok-agent.com --via http",
        "enforcer explain connect.example.com --port 443 --client 10.1.2.3 --json",
        "enforcer explain www.example.com --type HTTPS --at 2026-11-24T12:00:00Z",
    ),
)
def explain(
    name: Annotated[str, typer.Argument(help="A host name, or an address.")],
    port: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=65535, help="Destination port.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="IP", help="Destination address, where it is known.")
    ] = None,
    client: Annotated[str | None, typer.Option(metavar="IP", help="Who asks.")] = None,
    via: Annotated[
        Via | None, typer.Option(help="The road; dns, or connect with a port or an address.")
    ] = None,
    qtype: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Query type: A, HTTPS, TYPE65.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="RFC3339", help="Judge as of this time, not of now.")
    ] = None,
    name_servers: Annotated[
        list[str] | None,
        typer.Option("--ns", metavar="NAME|IP", help="A name server of the zone; may repeat."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the policy does with a request, and which rule on which line says so.

    Exit 0 whatever the verdict. The JSON has action, rule, reason, file and line, what was
    asked, and for a Connect URL in verify what must be verified before anything passes.
    """
    from enforcer.explain import explain as explain_request
    from enforcer.policy.admit import admit_policy

    policy = admit_policy(_policy_path(config))
    try:
        answer = explain_request(
            policy,
            name,
            port=port,
            address=address,
            client=client,
            via=via,
            qtype=qtype,
            at=at,
            name_servers=name_servers or (),
            now_s=time.time(),
        )
    except ValueError as error:
        fail(str(error), USAGE)
    if as_json:
        print_json(answer.as_dict())
        return
    (action, asked), *rest = answer.as_lines()
    write_lines([f"{coloured(action)}: {asked}", *(f"{word:<8}{text}" for word, text in rest)])


@app.command(
    short_help="Verify who issued the certificate at a Connect URL.",
    epilog=_examples(
        "enforcer verify connect.example.com",
        "enforcer verify connect.example.com:443 --address 192.0.2.1 --json",
        "enforcer verify --chain presented.pem --host connect.example.com --roots ngrok",
    ),
)
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

    On line, HOST[:PORT] is connected to from here; with --chain and --host it is off line.
    Exit 1 also when it could not be looked at: the text begins with "unavailable", the JSON
    has the verdict "refused" with the code "unavailable". The JSON has verdict, code, issuer,
    path and reason.
    """
    from enforcer.verify import VerifyError, verify_offline, verify_online

    try:
        if chain is not None and host is not None and target is None:
            result = verify_offline(chain, host, roots, at)
        elif target is not None and chain is None and host is None:
            from enforcer.policy.admit import admit_policy

            policy = None if roots else admit_policy(_policy_path(config))
            result = verify_online(target, address, roots, at, policy, VERIFY_TIMEOUT_S)
        else:
            fail("give HOST[:PORT], or --chain PEM with --host NAME", USAGE)
    except VerifyError as error:
        fail(str(error), USAGE)
    if as_json:
        print_json(result.as_dict())
    else:
        write_text(result.as_text())
    raise typer.Exit(0 if result.accepted else REFUSED)


@app.command(
    short_help="List what was blocked, monitored, or touched a Connect URL.",
    epilog=_examples(
        "enforcer audit --since 1h --action block",
        'enforcer audit --client 10.1.0.0/16 --name "*.ngrok-agent.com"',
        "enforcer audit --json | jq .name",
    ),
)
def audit(
    since: Annotated[
        str | None, typer.Option(metavar="1h", help="30m, 1h, 7d ago, or an RFC 3339 time.")
    ] = None,
    client: Annotated[
        str | None, typer.Option(metavar="IP", help="Client address, or a range.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="N", help="Name; * stands for any characters.")
    ] = None,
    action: Annotated[
        str | None, typer.Option(metavar="A", help="allow, block or monitor.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=MAX_ROWS,
            help=f"Only the newest so many; {ROWS_AT_A_TERMINAL} at a terminal, else all.",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was blocked, monitored, or touched a Connect URL; newest last.

    A table at a terminal, a line each in a pipe. With --json one object a line (JSON Lines).
    Equal events of one moment are one, with their count; the order is that of the last time.
    Exit 0 also when nothing is found, 1 when the store cannot be read.
    """
    from enforcer.audit.listing import explain_nothing, list_events
    from enforcer.audit.schema import AuditStoreError

    path = _audit_path(config)
    now_s = time.time()
    at_a_terminal = sys.stdout.isatty() and not as_json
    try:
        events = list_events(
            path,
            since=since,
            client=client,
            name=name,
            action=action,
            limit=limit or (ROWS_AT_A_TERMINAL if at_a_terminal else None),
            now_s=now_s,
        )
        listed = _print_events(events, as_json=as_json, as_table=at_a_terminal)
        if not listed:
            complain("note", [explain_nothing(path, now_s=now_s, since=since)])
        elif at_a_terminal and listed == ROWS_AT_A_TERMINAL and limit is None:
            complain("note", [f"these are the newest {listed}; see more with --limit"])
    except ValueError as error:
        fail(str(error), USAGE)
    except AuditStoreError as error:
        fail(str(error), REFUSED)


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": enforcer.__version__})
    else:
        _print_version(asked=True)


def _config_path(config: Path | None) -> Path | None:
    return config or (SYSTEM_SETTINGS if SYSTEM_SETTINGS.is_file() else None)


def _settings(config: Path | None, *, needs_policy: bool = True) -> "Settings":
    from enforcer.settings.load import default_settings, load_settings

    path = _config_path(config)
    return load_settings(path, needs_policy=needs_policy) if path else default_settings()


def _print_events(events: "Iterable[AuditEvent]", *, as_json: bool, as_table: bool) -> int:
    """Say how many there were."""
    if as_table:
        from rich.console import Console

        from enforcer.audit.table import render_table

        rows = list(events)
        if rows:
            Console().print(render_table(rows))
        return len(rows)
    if as_json:
        from enforcer.audit.event import event_fields

        return write_lines(json.dumps(event_fields(event)) for event in events)
    from enforcer.audit.plain import render_line

    return write_lines(map(render_line, events))


# Without a settings file these two import none: that takes longer than to answer.
def _policy_path(config: Path | None) -> Path | None:
    return _settings(config).policy if _config_path(config) else None


def _audit_path(config: Path | None) -> Path:
    from enforcer.state import default_audit_path

    if not _config_path(config):
        return default_audit_path()
    return _settings(config, needs_policy=False).audit.path
