"""The servers: how each is told to block the same names and to ask the same upstream.

Each is set up as its own manual would have it, on one core: a peer that is slowed down by its
configuration would prove nothing.
"""

import signal
import socket
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.names import ZONE
from bench.probe import NXDOMAIN, Reply, wait_ready
from bench.process import LOAD_CORE, SERVER_CORE, Tree

BLOCKED = Reply(NXDOMAIN, 0)
ANSWERED = Reply(0, 1)
# unbound takes 15 s to read the list; all share the machine.
READY_WITHIN_S = 120.0
# The audit trail is written each second, by default.
FLUSHED_AFTER_S = 1.2


class Blocking(NamedTuple):
    """What is blocked: ``names`` with all below them, and where the list stands if it is one.

    The peers get the names of the shipped policy as they are, and its patterns not at all.
    """

    names: Sequence[str]
    list_file: Path | None = None


class Upstream:
    """nsd with a wildcard, on the load's core: it answers whatever is below ZONE."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        (folder / "bench.zone").write_text(
            f"$ORIGIN {ZONE}.\n$TTL 3600\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\n"
            "ns A 127.0.0.1\n*.hit A 192.0.2.1\n*.miss A 192.0.2.2\n"
        )
        config = folder / "nsd.conf"
        config.write_text(
            f"""\
server:
  ip-address: 127.0.0.1@{self.port}
  server-count: 1
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: {ZONE}
  zonefile: bench.zone
"""
        )
        self.tree = Tree(["nsd", "-d", "-c", str(config)], LOAD_CORE, folder / "nsd.log")
        if not wait_ready(
            self.port, f"ready.hit.{ZONE}", ANSWERED, READY_WITHIN_S, self.tree.running
        ):
            raise RuntimeError(f"nsd does not answer:\n{self.tree.log.read_text()}")


class Server(ABC):
    """One that is measured. ``ready_s`` is from exec until its first right answer."""

    name = ""
    package = ""
    # It is idle when it does nothing for so long; what it still does after the last answer is
    # the queries' CPU, too.
    calm_s = 0.0

    def __init__(self, folder: Path, blocking: Blocking, upstream_port: int) -> None:
        self.folder = folder / self.name
        self.folder.mkdir()
        self.blocking = blocking
        self.upstream_port = upstream_port
        self.port = free_port()
        self.ready_s = 0.0
        self.tree: Tree

    def start(self) -> None:
        command = self.configure()
        began_s = time.monotonic()
        self.tree = Tree(command, SERVER_CORE, self.folder / "log")
        if not wait_ready(
            self.port, self.blocking.names[-1], BLOCKED, READY_WITHIN_S, self.tree.running
        ):
            log = self.tree.log.read_text(errors="replace")[-2000:]
            self.tree.stop()
            raise RuntimeError(f"{self.name} does not answer as it should:\n{log}")
        self.ready_s = time.monotonic() - began_s

    @abstractmethod
    def configure(self) -> list[str]:
        """Write what it reads; the command that starts it, in the foreground."""

    def write(self, file: str, text: str) -> Path:
        path = self.folder / file
        path.write_text(text, encoding="ascii")
        return path

    def write_names(self, file: str, template: str) -> Path:
        return self.write(file, "".join(template.format(name) for name in self.blocking.names))


class Dnsdist(Server):
    name = "dnsdist"
    package = "dnsdist"

    def configure(self) -> list[str]:
        names = self.write_names("names", "{}\n")
        config = self.write(
            "dnsdist.conf",
            f"""\
setLocal("127.0.0.1:{self.port}")
newServer({{address="127.0.0.1:{self.upstream_port}", healthCheckMode="up"}})
getPool(""):setCache(newPacketCache(1000000))
local blocked = newSuffixMatchNode()
for name in io.lines("{names}") do
  blocked:add(name)
end
addAction(SuffixMatchNodeRule(blocked, true), RCodeAction(DNSRCode.NXDOMAIN))
setSecurityPollSuffix("")
""",
        )
        return ["dnsdist", "--supervised", "--disable-syslog", "-C", str(config)]


class Unbound(Server):
    name = "unbound"
    package = "unbound"

    def configure(self) -> list[str]:
        zone = self.write(
            "rpz.zone",
            "$ORIGIN rpz.\n$TTL 60\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\n"
            # The name alone, not what is below it: the smaller zone, and the quicker start.
            + "".join(f"{name} CNAME .\n" for name in self.blocking.names),
        )
        config = self.write(
            "unbound.conf",
            f"""\
server:
  interface: 127.0.0.1@{self.port}
  num-threads: 1
  module-config: "respip iterator"
  msg-cache-size: 64m
  rrset-cache-size: 128m
  outgoing-range: 4096
  num-queries-per-thread: 2048
  do-not-query-localhost: no
  do-daemonize: no
  use-syslog: no
  username: ""
  chroot: ""
  pidfile: ""
  directory: "{self.folder}"
remote-control:
  control-enable: no
rpz:
  name: rpz.
  zonefile: "{zone}"
forward-zone:
  name: .
  forward-addr: 127.0.0.1@{self.upstream_port}
""",
        )
        return ["unbound", "-d", "-c", str(config)]


class Dnsmasq(Server):
    name = "dnsmasq"
    package = "dnsmasq-base"

    def configure(self) -> list[str]:
        names = self.write_names("names.conf", "address=/{}/\n")
        config = self.write(
            "dnsmasq.conf",
            f"""\
port={self.port}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
server=127.0.0.1#{self.upstream_port}
cache-size=10000
dns-forward-max=2048
user=root
pid-file=
conf-file={names}
""",
        )
        return ["dnsmasq", "--keep-in-foreground", "--log-facility=-", f"--conf-file={config}"]


class Enforcer(Server):
    """As it ships, audit and metrics on; only the listeners that nobody asks are left out."""

    name = "enforcer"
    calm_s = FLUSHED_AFTER_S
    policy_head = (
        "version: 1\nmode: enforce\ndefault: allow\ninclude: [packs/ngrok.yaml]\n"
        "connect_urls:\n  - {host: connect.example.com, issuer: ngrok}\n"
    )

    def configure(self) -> list[str]:
        self.admin_port = free_port()
        policy = self.policy_head
        if self.blocking.list_file:
            self.list_file = self.folder / "list.txt"
            self.list_file.write_bytes(self.blocking.list_file.read_bytes())
            policy += (
                "rules:\n  - {id: listed, action: block, match: {lists: [list.txt]},"
                " reason: it is on the list}\n"
            )
        self.write("policy.yaml", policy)
        self.config = self.write(
            "enforcer.yaml",
            f"""\
policy: policy.yaml
listen:
  dns: ["127.0.0.1:{self.port}"]
  proxy: []
  tls: []
  admin: "127.0.0.1:{self.admin_port}"
dns: {{upstreams: ["127.0.0.1:{self.upstream_port}"]}}
audit: {{path: audit.db}}
drain_seconds: 1
""",
        )
        return [str(executable()), "run", "--config", str(self.config)]

    def reload(self) -> None:
        self.tree.signal(signal.SIGHUP)

    def scrape(self) -> str:
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as page:
            return page.read().decode()


SERVERS = {kind.name: kind for kind in (Enforcer, Dnsdist, Unbound, Dnsmasq)}


def executable() -> Path:
    return Path(sys.executable).with_name("enforcer")


def free_port() -> int:
    """One that is free for UDP and TCP at this moment."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        ):
            udp.bind(("127.0.0.1", 0))
            port: int = udp.getsockname()[1]
            try:
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
