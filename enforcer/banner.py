"""What a person sees when the gateway is up: what listens where, and what to try."""

from collections.abc import Mapping, Sequence

import enforcer
from enforcer.policy.compile import CompiledPolicy
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.gateway import Settings
from enforcer.settings.upstream import Upstream

_WHAT = {
    "dns": "DNS, UDP and TCP",
    "dot": "DNS over TLS",
    "proxy": "HTTP CONNECT, SOCKS5 and plain HTTP proxy",
    "tls": "TLS gate for redirected connections",
    "admin": "/metrics, /healthz, /readyz",
}

# Closed by the pack that comes with us.
_EXAMPLE = "connect.ngrok-agent.com"


def render_banner(
    listening: Mapping[str, Sequence[Endpoint]],
    policy: CompiledPolicy,
    upstreams: Sequence[Upstream],
    settings: Settings,
) -> str:
    """Plain text, one fact a line."""
    urls = policy.hint or "none: every agent is refused"
    asked = ", ".join(map(str, upstreams)) or "none: only blocked names are answered"
    mode, rules = policy.policy.mode.value, len(policy.policy.rules)
    lines = [
        f"enforcer {enforcer.__version__} is up",
        "",
        *(
            f"  {plane:<9} {endpoint!s:<22} {_WHAT[plane]}"
            for plane, endpoints in listening.items()
            for endpoint in endpoints
        ),
        "",
        f"  policy    {policy.policy.source.file}",
        f"            {mode} mode, {rules} rules, digest {policy.policy.digest}",
        f"  agents to {urls}",
        f"  upstreams {asked}",
        f"  audit     {settings.audit.path}",
        "",
        "Try it from another terminal:",
        "",
        *(f"  {command}" for command in _commands(listening)),
        "",
        "End it with Ctrl-C; change the policy file and it is reloaded.",
    ]
    return "\n".join(lines)


def _commands(listening: Mapping[str, Sequence[Endpoint]]) -> list[str]:
    """To be pasted as they are, whatever the shell."""
    at = {plane: _reachable(endpoints[0]) for plane, endpoints in listening.items() if endpoints}
    commands = []
    if dns := at.get("dns"):
        commands.append(f"dig @{dns.host} -p {dns.port} {_EXAMPLE}")
    if proxy := at.get("proxy"):
        commands.append(f"curl -v --proxy {_quoted(f'http://{proxy}')} https://{_EXAMPLE}/")
    if admin := at.get("admin"):
        commands.append(f"curl {_quoted(f'http://{admin}/metrics')}")
    return commands


def _reachable(endpoint: Endpoint) -> Endpoint:
    """Where to connect to: a wildcard is an address to listen on only."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 told apart, not listened on
    return endpoint._replace(host=loopback.get(endpoint.host, endpoint.host))


def _quoted(url: str) -> str:
    # zsh takes the brackets of an IPv6 address for a pattern.
    return f"'{url}'" if "[" in url else url
