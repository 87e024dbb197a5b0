"""What a person sees when the gateway is up: what listens where, and what to try."""

from collections.abc import Mapping, Sequence

import enforcer
from enforcer.policy.compile import CompiledPolicy
from enforcer.settings import Endpoint, Settings

_WHAT = {
    "dns": "DNS, UDP and TCP",
    "proxy": "HTTP CONNECT, SOCKS5 and plain HTTP proxy",
    "tls": "TLS gate for redirected connections",
    "admin": "/metrics, /healthz, /readyz",
}


def render_banner(
    listening: Mapping[str, Sequence[Endpoint]],
    policy: CompiledPolicy,
    upstreams: Sequence[Endpoint],
    settings: Settings,
) -> str:
    """Plain text, one fact a line."""
    urls = policy.hint or "none: every agent is refused"
    asked = ", ".join(map(str, upstreams)) or "none: only blocked names are answered"
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
        f"            {policy.policy.mode.value} mode, {len(policy.policy.rules)} rules, "
        f"digest {policy.policy.digest}",
        f"  Connect URL  {urls}",
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
    dns, proxy, admin = (listening[plane][0] for plane in ("dns", "proxy", "admin"))
    return [
        f"dig @{dns.host} -p {dns.port} connect.ngrok-agent.com",
        f"curl --proxy http://{proxy} https://connect.ngrok-agent.com/ -v",
        f"curl http://{admin}/metrics",
    ]
