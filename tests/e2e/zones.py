"""The internet's names: one zone file for unbound, and unbound's configuration."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from e2e.topology import (
    BIG_TXT_HOST,
    CLOAK,
    CONNECT_URL,
    CRL_HOST,
    DEFAULT_INGRESS,
    DOUBLE_CLOAK,
    EDGE,
    ENDPOINT_DOMAIN,
    ENDPOINTS,
    HARMLESS_ALIAS,
    INGRESSES,
    PASTE_HOST,
    PUBLIC_RESOLVER,
    REGION_HOST,
    RESOLVER,
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


def render_zone(hosts: Mapping[str, Dual]) -> str:
    """Everything hangs off the root: nothing here depends on who delegates to whom."""
    return "\n".join(["$ORIGIN .", f"$TTL {TTL_SECONDS}", *_records(hosts), ""])


def _records(hosts: Mapping[str, Dual]) -> Iterable[str]:
    yield f". SOA ns.example. admin.example. 1 3600 600 86400 {TTL_SECONDS}"
    yield ". NS ns.example."
    yield f"ns.example. A {RESOLVER.v4}"
    for host, address in hosts.items():
        yield f"{host}. A {address.v4}"
        yield f"{host}. AAAA {address.v6}"
    yield f"{CLOAK}. CNAME {DEFAULT_INGRESS}."
    yield f"{DOUBLE_CLOAK}. CNAME {CLOAK}."
    yield f"{HARMLESS_ALIAS}. CNAME {WEB_HOST}."
    text = " ".join(f'"{"x" * BIG_TXT_STRING_BYTES}"' for _ in range(BIG_TXT_STRINGS))
    yield f"{BIG_TXT_HOST}. TXT {text}"


def render_unbound(zone_file: Path) -> str:
    """A recursor that finds everything in its own root zone, and remembers nothing."""
    addresses = (*RESOLVER, *PUBLIC_RESOLVER)
    interfaces = "\n".join(f"  interface: {address}" for address in addresses)
    return f"""
server:
{interfaces}
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
  directory: "{zone_file.parent}"
remote-control:
  control-enable: no
auth-zone:
  name: "."
  zonefile: "{zone_file}"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""
