"""Explicit proxies for a client that knows none: the agent dials loopback, the hop asks.

The SDK has no proxy option, so its name is mapped to 127.0.0.1 and one of these listens
there on 443. socat speaks CONNECT; Debian's socat 1.7 has no SOCKS5, ncat has.
"""

from e2e.gateway import PROXY_PORT
from e2e.topology import GATEWAY

LISTEN_ADDRESS = "127.0.0.1"


def connect_hop(host: str) -> list[str]:
    return [
        "socat",
        f"TCP-LISTEN:443,bind={LISTEN_ADDRESS},fork,reuseaddr",
        f"PROXY:{GATEWAY.v4}:{host}:443,proxyport={PROXY_PORT}",
    ]


def socks5_hop(host: str) -> list[str]:
    onward = (
        f"ncat --proxy {GATEWAY.v4}:{PROXY_PORT} --proxy-type socks5 --proxy-dns remote {host} 443"
    )
    return ["ncat", "-l", LISTEN_ADDRESS, "443", "--keep-open", "--sh-exec", onward]


HOPS = {"connect": connect_hop, "socks5": socks5_hop}
