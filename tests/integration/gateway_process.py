"""`enforcer run` as a process of its own, and what it says to a client, a scraper and a person."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import yaml
from e2e.process import Process

POLICY = """
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls: [{host: connect.example.com, issuer: ngrok}]
"""
ANY_PORT = "127.0.0.1:0"


class Gateway:
    """One process with a settings and a policy file of its own."""

    def __init__(self, directory, *, policy=POLICY, **settings):
        self.directory = directory
        self.policy = directory / "policy.yaml"
        self.policy.write_text(policy)
        self.config = directory / "enforcer.yaml"
        listen = {"dns": [ANY_PORT], "proxy": [ANY_PORT], "tls": [ANY_PORT], "admin": ANY_PORT}
        listen.update(settings.pop("listen", {}))
        self.config.write_text(
            yaml.safe_dump(
                {
                    "policy": "policy.yaml",
                    "listen": listen,
                    "dns": {
                        "upstreams": ["127.0.0.1:9"],
                        "timeout_ms": 100,
                        **settings.pop("dns", {}),
                    },
                    "audit": {"path": "audit.db", "flush_interval_ms": 50},
                    "drain_seconds": 1,
                    **settings,
                }
            )
        )
        argv = [sys.executable, "-m", "enforcer", "run", "--config", str(self.config)]
        self.process = Process(argv, directory / "gateway")

    def wait_until_up(self):
        self.process.wait_for_output("Try it")
        return self

    @property
    def banner(self):
        return self.process.stdout.read_text()

    @property
    def log(self):
        return self.process.stderr.read_text()

    def address(self, plane):
        host, port = re.search(rf"^  {plane} +(\S+):(\d+) ", self.banner, re.MULTILINE).groups()
        return host, int(port)

    def fetch(self, path):
        host, port = self.address("admin")
        try:
            with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, line):
        """The value of the series that is written like this."""
        return float(
            re.search(rf"^{re.escape(line)} (\S+)$", self.fetch("/metrics")[1], re.MULTILINE)[1]
        )

    def dig(self, name, *options):
        host, port = self.address("dns")
        argv = ["dig", f"@{host}", "-p", str(port), "+tries=1", "+time=2", *options, name]
        return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False).stdout

    def connect(self, target):
        """The answer to one CONNECT."""
        with socket.create_connection(self.address("proxy"), timeout=5) as proxy:
            proxy.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            return proxy.makefile("rb").read().decode()

    def audit(self):
        argv = [sys.executable, "-m", "enforcer", "audit", "--json", "--config", str(self.config)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def end(self):
        self.process.send(signal.SIGTERM)
        return self.process.wait()


def children_of(parent):
    """Ids of the processes that it started and that live, the oldest first."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # proc(5): behind the name, which may hold anything, state and parent.
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append((int(fields[19]), int(stat.parent.name)))
    return [pid for _, pid in sorted(found)]
