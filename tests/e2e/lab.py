"""Three network namespaces on a line: client, gateway, internet.

    client 10.8.0.2 ── 10.8.0.1 gateway 198.51.100.1 ── 198.51.100.2 internet
                                                          203.0.113.0/24, 8.8.8.8

The client asks 8.8.8.8, as a client does that ignores the company's resolver; only the
gateway's redirect of port 53 brings it to us. No product import: the lab is the judge.
"""

import contextlib
import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from e2e import topology, zones
from e2e.agents import Agent, AgentResult
from e2e.gateway import DNS_PORT, TLS_PORT, Gateway
from e2e.hops import HOPS, LISTEN_ADDRESS
from e2e.ingress import Ingress
from e2e.netns import PREFIX, Namespace, remove_orphans
from e2e.process import Process, until
from e2e.signed_zone import sign_zone
from e2e.topology import Dual
from pki import Leaf

WEB = Path(__file__).with_name("web.py")
TAP = Path(__file__).with_name("tap.py")
MAX_NAME = 40
REDIRECT = f"""
table inet enforcer_lab
delete table inet enforcer_lab
table inet enforcer_lab {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    iifname "lan" udp dport 53 redirect to :{DNS_PORT}
    iifname "lan" tcp dport 53 redirect to :{DNS_PORT}
    iifname "lan" tcp dport 443 redirect to :{TLS_PORT}
  }}
}}
"""


class Lab:
    """``name`` is the test's id; ``directory`` keeps every file and every output."""

    def __init__(self, name: str, directory: Path) -> None:
        stem = f"{PREFIX}-{os.getpid()}-{re.sub(r'[^a-z0-9]+', '-', name.lower())[:MAX_NAME]}"
        self._directory = directory
        self._numbers = itertools.count(1)
        self.client = Namespace(f"{stem}-client", directory / "client")
        self.gateway_host = Namespace(f"{stem}-gateway", directory / "gateway")
        self.internet = Namespace(f"{stem}-internet", directory / "internet")
        self._namespaces = (self.client, self.gateway_host, self.internet)
        self._zone_file = directory / "root.zone"
        self._hosts = dict(zones.HOSTS)
        self._resolver: Process | None = None
        self.trust_anchor = ""
        self.gateways: list[Gateway] = []

    def __enter__(self) -> Self:
        remove_orphans()
        try:
            self.client.start(topology.PUBLIC_RESOLVER[:1])
            self.gateway_host.start(topology.RESOLVER[:1])
            self.internet.start(topology.RESOLVER[:1])
            self._wire()
            self._start_resolver()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            for namespace in self._namespaces:
                stack.callback(namespace.close)

    def _wire(self) -> None:
        """Links, addresses and routes."""
        gateway, client, internet = self.gateway_host, self.client, self.internet
        gateway.ip_batch(
            [
                f"link add lan type veth peer name eth0 netns {client.name}",
                f"link add wan type veth peer name eth0 netns {internet.name}",
                *_link("lan", topology.GATEWAY, 24),
                *_link("wan", topology.GATEWAY_OUTSIDE, 24),
                f"route add default via {topology.INTERNET.v4}",
                f"route add default via {topology.INTERNET.v6}",
            ]
        )
        client.ip_batch(
            [
                *_link("eth0", topology.CLIENT, 24),
                f"route add default via {topology.GATEWAY.v4}",
                f"route add default via {topology.GATEWAY.v6}",
            ]
        )
        internet.ip_batch(
            [
                *_link("eth0", topology.INTERNET, 24),
                *(line for address in topology.ON_THE_INTERNET for line in _loopback(address)),
                f"route add default via {topology.GATEWAY_OUTSIDE.v4}",
                f"route add default via {topology.GATEWAY_OUTSIDE.v6}",
            ]
        )
        forward = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]
        gateway.run(["sysctl", "-qw", *forward], check=True)

    def _start_resolver(self) -> None:
        self._zone_file.write_text(zones.render_zone(self._hosts), encoding="utf-8")
        config = self._directory / "unbound.conf"
        files = {".": self._zone_file, **self._write_own_zones()}
        config.write_text(zones.render_unbound(files), encoding="utf-8")
        self._resolver = self.internet.spawn(["unbound", "-d", "-c", str(config)], "unbound")
        self._wait_for_answer(topology.WEB_HOST, topology.WEB.v4)

    def _write_own_zones(self) -> dict[str, Path]:
        files = {}
        for zone in zones.ZONES:
            text = zones.render_own_zone(zone)
            if zone == topology.SIGNED_ZONE:
                signed = sign_zone(zone, text, self._directory / "signed")
                text, self.trust_anchor = signed.text, signed.trust_anchor
            files[zone] = self._directory / f"{zone}.zone"
            files[zone].write_text(text, encoding="utf-8")
        return files

    def start_resolver_by_tls(self, leaf: Leaf) -> Process:
        """The resolver's second door, on port 853."""
        directory = self._subdirectory("dot")
        directory.mkdir()
        chain, key = leaf.write(directory, "dot")
        config = directory / "unbound.conf"
        config.write_text(zones.render_unbound_by_tls(chain, key), encoding="utf-8")
        process = self.internet.spawn(["unbound", "-d", "-c", str(config)], "unbound-dot")

        def listening() -> bool:
            assert process.running, process.complaint
            return bool(self.internet.run(["ss", "-Hltn", "sport = :853"]).stdout)

        until(listening, "unbound to listen on 853")
        return process

    @contextlib.contextmanager
    def closed(self, address: str, port: int) -> Iterator[None]:
        """Who asks there hears nothing: no answer, and no error either. Not so unbound itself."""
        table = f"closed{next(self._numbers)}"
        where = f"{_family(address)} daddr {address} meta l4proto {{ tcp, udp }} th dport {port}"
        drop = f'iifname "eth0" {where} drop'
        hook = "type filter hook input priority 0;"
        rules = f"table inet {table} {{\n chain input {{\n  {hook}\n  {drop}\n }}\n}}\n"
        self.internet.run(["nft", "-f", "-"], text=rules, check=True)
        try:
            yield
        finally:
            self.internet.run(["nft", "delete", "table", "inet", table], check=True)

    def _wait_for_answer(self, host: str, address: str) -> None:
        dig = ["dig", "+short", "+tries=1", "+time=1", f"@{topology.RESOLVER.v4}", host]

        def answered() -> bool:
            assert self._resolver is not None
            assert self._resolver.running, self._resolver.complaint
            return address in self.internet.run(dig).stdout.split()

        until(answered, f"unbound to answer {host} with {address}")

    def point(self, host: str, address: Dual) -> None:
        """From now on the internet's DNS has ``host`` at ``address``."""
        self._hosts[host] = address
        self._zone_file.write_text(zones.render_zone(self._hosts), encoding="utf-8")
        assert self._resolver is not None
        self._resolver.send(signal.SIGHUP)
        self._wait_for_answer(host, address.v4)

    def start_edge(
        self, certificates: Mapping[str, Leaf], address: Dual = topology.EDGE
    ) -> Ingress:
        """An ngrok edge on ``address``; the one at EDGE has a public side too."""
        public = [f"{topology.ENDPOINTS.v4}:80"] if address == topology.EDGE else []
        return Ingress(
            self._subdirectory("edge"),
            self.internet.spawn,
            [f"{address.v4}:443", f"[{address.v6}]:443"],
            certificates,
            public,
        )

    def start_web(self, leaf: Leaf) -> Process:
        """An ordinary site, and the CRL on the address that ngrok's other names share."""
        chain, key = leaf.write(self._directory, "web")
        listen = [
            f"--tls={topology.WEB.v4}:443",
            f"--tls=[{topology.WEB.v6}]:443",
            f"--http={topology.WEB.v4}:80",
            f"--http={topology.EDGE.v4}:80",
        ]
        options = [*listen, f"--chain={chain}", f"--key={key}"]
        process = self.internet.spawn([sys.executable, str(WEB), *options], "web")
        process.wait_for_output("ready")
        return process

    def redirect(self) -> None:
        """Bring the client's DNS and TLS to the gateway's own ports."""
        self.gateway_host.run(["nft", "-f", "-"], text=REDIRECT, check=True)

    def start_gateway(
        self,
        policy: str,
        settings: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Gateway:
        """The product with this policy; ``files`` lie beside it."""
        self.redirect()
        directory = self._subdirectory("enforcer")
        gateway = Gateway(self.gateway_host, directory, policy, settings or {}, files or {})
        self.gateways.append(gateway)
        return gateway

    @contextlib.contextmanager
    def connected_agent(
        self,
        server_addr: str,
        ca_pem: bytes,
        via: str | None = None,
        address: str | None = None,
        *,
        outside: bool = False,
    ) -> Iterator[Agent]:
        """A real agent in the client namespace, which stays as long as the block.

        ``via`` is a hop of hops.HOPS, which asks the gateway for ``address``, or for the
        name where that is left out. Without a hop, ``address`` is given to the agent's
        hosts file, so that it asks no DNS. An agent ``outside`` is on the internet, with
        no gateway on its way.
        """
        host = server_addr.partition(":")[0]
        place = self.internet if outside else self.client
        with contextlib.ExitStack() as stack:
            if via is not None:
                stack.enter_context(self._hop(via, address or host))
            if via is not None or address is not None:
                place.map_hosts({host: LISTEN_ADDRESS if via else address or ""})
                stack.callback(place.map_hosts, {})
            directory = self._subdirectory("agent")
            directory.mkdir()
            yield stack.enter_context(Agent(place.spawn, directory, server_addr, ca_pem))

    def agent(
        self,
        server_addr: str,
        ca_pem: bytes,
        via: str | None = None,
        address: str | None = None,
        *,
        outside: bool = False,
    ) -> AgentResult:
        """One attempt of a real agent."""
        with self.connected_agent(server_addr, ca_pem, via, address, outside=outside) as agent:
            return agent.result

    @contextlib.contextmanager
    def tap(
        self, place: Namespace, listen: str, target: str, piece_bytes: int = 0
    ) -> Iterator[Path]:
        """A relay in ``place``; the directory holds what went through it (see tap.py)."""
        directory = self._subdirectory("tap")
        directory.mkdir()
        arguments = [listen, target, str(directory), str(piece_bytes)]
        with place.spawn([sys.executable, str(TAP), *arguments], "tap") as tap:
            tap.wait_for_output("ready")
            yield directory

    def ask_endpoint(self, url: str) -> str:
        """What somebody on the internet gets from an agent's endpoint."""
        return self.internet.run(["curl", "-sS", "--max-time", "5", url]).stdout

    @contextlib.contextmanager
    def _hop(self, kind: str, host: str) -> Iterator[None]:
        with self.client.spawn(HOPS[kind](host), f"{kind}-hop") as hop:

            def listening() -> bool:
                assert hop.running, hop.complaint
                return bool(self.client.run(["ss", "-Hltn", "sport = :443"]).stdout)

            until(listening, f"the {kind} hop to listen")
            yield

    def _subdirectory(self, stem: str) -> Path:
        return self._directory / f"{stem}-{next(self._numbers)}"


def _link(device: str, address: Dual, prefix: int) -> list[str]:
    return [
        f"addr add {address.v4}/{prefix} dev {device}",
        f"addr add {address.v6}/64 dev {device}",
        f"link set {device} up",
    ]


def _family(address: str) -> str:
    return "ip6" if ":" in address else "ip"


def _loopback(address: Dual) -> list[str]:
    return [f"addr add {address.v4}/32 dev lo", f"addr add {address.v6}/128 dev lo"]
