"""Run in a network namespace of its own: a gate to which nftables brings connections.

Clients are at addresses of their own, so that the gate's own connections are not
redirected. Prints what became of each way, as JSON, for test_gate_redirected.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import uvloop
from integration.gate_harness import client_hello, running_gate

from enforcer.policy.admit import admit_policy
from enforcer.settings.endpoint import Endpoint

ALLOWED, BLOCKED = "www.example.com", "connect.ngrok-agent.com"
SERVER_V4, SERVER_V6 = "192.0.2.1", "2001:db8::1"
REDIRECT_V4, TPROXY_V4 = "198.51.100.7", "198.51.100.8"
REDIRECT_V6, TPROXY_V6 = "2001:db8:1::7", "2001:db8:1::8"
POLICY = """
version: 1
default: allow
include: [packs/ngrok.yaml]
"""
RULES = """
table inet redirected {{
  chain output_nat {{
    type nat hook output priority -100
    ip saddr {redirect_v4} tcp dport 443 redirect to :{port}
    ip6 saddr {redirect_v6} tcp dport 443 redirect to :{port}
  }}
  chain output_mark {{
    type route hook output priority mangle
    ip saddr {tproxy_v4} tcp dport 443 meta mark set 1
    ip6 saddr {tproxy_v6} tcp dport 443 meta mark set 1
  }}
  chain prerouting {{
    type filter hook prerouting priority mangle
    ip saddr {tproxy_v4} tcp dport 443 tproxy ip to :{port} meta mark set 1 accept
    ip6 saddr {tproxy_v6} tcp dport 443 tproxy ip6 to :{port} meta mark set 1 accept
  }}
}}
"""


def run(command, **options):
    subprocess.run(command.split(), check=True, **options)


def set_up(port):
    run("ip link set lo up")
    for address in (SERVER_V4, REDIRECT_V4, TPROXY_V4):
        run(f"ip address add {address}/32 dev lo")
    for address in (SERVER_V6, REDIRECT_V6, TPROXY_V6):
        run(f"ip -6 address add {address}/128 dev lo nodad")
    for family, everything in (("-4", "0.0.0.0/0"), ("-6", "::/0")):
        run(f"ip {family} rule add fwmark 1 lookup 100")
        run(f"ip {family} route add local {everything} dev lo table 100")
    rules = RULES.format(
        port=port,
        redirect_v4=REDIRECT_V4,
        redirect_v6=REDIRECT_V6,
        tproxy_v4=TPROXY_V4,
        tproxy_v6=TPROXY_V6,
    )
    run("nft -f -", input=rules.encode())


async def say_hello(source, server, name):
    """What comes back for a ClientHello: from the server, or an alert."""
    reader, writer = await asyncio.open_connection(server, 443, local_addr=(source, 0))
    writer.write(client_hello(name))
    answer = await reader.read(100)
    writer.close()
    return answer.hex() if answer[:1] == b"\x15" else answer.decode()


async def greet(reader, writer):
    data = await reader.read(65536)
    writer.write(b"hello of %d from the server" % data[0])
    writer.close()


async def scenario(folder):
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    run("ip link set lo up")
    outcomes = {}
    async with running_gate(admit_policy(policy)) as door:
        v4 = await door.gate.listen_transparent(Endpoint("0.0.0.0", 0))
        await door.gate.listen_transparent(Endpoint("::", v4.port))
        set_up(v4.port)
        servers = [await asyncio.start_server(greet, host, 443) for host in (SERVER_V4, SERVER_V6)]
        for way, source, server in (
            ("redirect v4", REDIRECT_V4, SERVER_V4),
            ("redirect v6", REDIRECT_V6, SERVER_V6),
            ("tproxy v4", TPROXY_V4, SERVER_V4),
            ("tproxy v6", TPROXY_V6, SERVER_V6),
        ):
            async with asyncio.timeout(10):
                outcomes[way] = [
                    await say_hello(source, server, ALLOWED),
                    await say_hello(source, server, BLOCKED),
                ]
            event = door.events[-1]
            outcomes[way] += [event.client, event.address, event.port]
        for server in servers:
            server.close()
    return outcomes


if __name__ == "__main__":
    runner = {"asyncio": asyncio.run, "uvloop": uvloop.run}[sys.argv[1]]
    sys.stdout.write(json.dumps(runner(scenario(Path(sys.argv[2])))))
