"""The internet's names: zone files for unbound, and unbound's configuration."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from e2e.topology import (
    BIG_TXT_HOST,
    CLOAK,
    CONNECT_URL,
    CRL_HOST,
    DEFAULT_INGRESS,
    DELEGATED_CONNECT_URL,
    DOUBLE_CLOAK,
    EDGE,
    ENDPOINT_DOMAIN,
    ENDPOINTS,
    FOREIGN_CONNECT_URL,
    HARMLESS_ALIAS,
    INGRESSES,
    NGROK_NAME_SERVER,
    PASTE_HOST,
    PUBLIC_RESOLVER,
    REGION_HOST,
    RESOLVER,
    SIGNED_HOST,
    SIGNED_ZONE,
    WEB,
    WEB_HOST,
    Dual,
)

HOSTS: Mapping[str, Dual] = {
    **dict.fromkeys((*INGRESSES, CONNECT_URL, REGION_HOST, CRL_HOST), EDGE),
    WEB_HOST: WEB,
    PASTE_HOST: WEB,
    f"*.{ENDPOINT_DOMAIN}": ENDPOINTS,
}
BIG_TXT_STRINGS = 20
BIG_TXT_STRING_BYTES = 200
TTL_SECONDS = 60
# By zone: who serves it, and what it has.
ZONES: Mapping[str, tuple[str, Mapping[str, Dual]]] = {
    FOREIGN_CONNECT_URL: (NGROK_NAME_SERVER, {FOREIGN_CONNECT_URL: EDGE}),
    DELEGATED_CONNECT_URL: (NGROK_NAME_SERVER, {DELEGATED_CONNECT_URL: EDGE}),
    SIGNED_ZONE: (f"ns.{SIGNED_ZONE}", {f"ns.{SIGNED_ZONE}": RESOLVER, SIGNED_HOST: WEB}),
}


def render_zone(hosts: Mapping[str, Dual]) -> str:
    """Nearly everything hangs off the root: little here depends on who delegates to whom."""
    return "\n".join(["$ORIGIN .", f"$TTL {TTL_SECONDS}", *_records(hosts), ""])


def render_own_zone(zone: str) -> str:
    """A zone that is cut off from the root's."""
    server, hosts = ZONES[zone]
    return "\n".join(
        [
            f"$TTL {TTL_SECONDS}",
            f"{zone}. SOA {server}. admin.{zone}. 1 3600 600 86400 {TTL_SECONDS}",
            f"{zone}. NS {server}.",
            *(f"{host}. A {address.v4}" for host, address in hosts.items()),
            *(f"{host}. AAAA {address.v6}" for host, address in hosts.items()),
            "",
        ]
    )


def _records(hosts: Mapping[str, Dual]) -> Iterable[str]:
    yield f". SOA ns.example. admin.example. 1 3600 600 86400 {TTL_SECONDS}"
    yield ". NS ns.example."
    yield f"ns.example. A {RESOLVER.v4}"
    for host, address in hosts.items():
        # It is led elsewhere under way, and what a cache holds must not hide that.
        ttl = 0 if host == CONNECT_URL else TTL_SECONDS
        yield f"{host}. {ttl} A {address.v4}"
        yield f"{host}. {ttl} AAAA {address.v6}"
    yield f"{CLOAK}. CNAME {DEFAULT_INGRESS}."
    yield f"{DOUBLE_CLOAK}. CNAME {CLOAK}."
    yield f"{HARMLESS_ALIAS}. CNAME {WEB_HOST}."
    text = " ".join(f'"{"x" * BIG_TXT_STRING_BYTES}"' for _ in range(BIG_TXT_STRINGS))
    yield f"{BIG_TXT_HOST}. TXT {text}"


def render_unbound(zone_files: Mapping[str, Path]) -> str:
    """A recursor that finds everything in its own zones, and remembers nothing."""
    interfaces = "\n".join(f"  interface: {address}" for address in (*RESOLVER, *PUBLIC_RESOLVER))
    return f"{SERVER}{interfaces}\n" + "".join(
        f"""\
auth-zone:
  name: "{zone}"
  zonefile: "{file}"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""
        for zone, file in zone_files.items()
    )


def render_unbound_by_tls(chain: Path, key: Path) -> str:
    """The same resolver by DNS over TLS (RFC 7858): a second one, which asks the first."""
    return f"""\
{SERVER}  interface: {RESOLVER.v4}@853
  tls-service-pem: "{chain}"
  tls-service-key: "{key}"
  do-not-query-localhost: no
forward-zone:
  name: "."
  forward-addr: {RESOLVER.v4}
"""


SERVER = """\
remote-control:
  control-enable: no
server:
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  module-config: "iterator"
  num-threads: 1
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  qname-minimisation: no
  do-daemonize: no
  use-syslog: no
  logfile: ""
  pidfile: ""
  username: ""
  chroot: ""
"""
