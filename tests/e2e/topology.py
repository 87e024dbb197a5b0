"""Who is where in the lab: names and addresses, nothing else.

Documentation ranges stand for the internet. 8.8.8.8 is given to the internet
namespace's own loopback, and never leaves it.
"""

from typing import NamedTuple


class Dual(NamedTuple):
    """One host's addresses in both families."""

    v4: str
    v6: str


CLIENT = Dual("10.8.0.2", "2001:db8:8::2")
GATEWAY = Dual("10.8.0.1", "2001:db8:8::1")
GATEWAY_OUTSIDE = Dual("198.51.100.1", "2001:db8:100::1")
INTERNET = Dual("198.51.100.2", "2001:db8:100::2")

# As in reality, the default names and every Connect URL share one address.
EDGE = Dual("203.0.113.10", "2001:db8:0:1::10")
IMPOSTOR = Dual("203.0.113.66", "2001:db8:0:1::66")
ENDPOINTS = Dual("203.0.113.20", "2001:db8:0:1::20")
WEB = Dual("203.0.113.80", "2001:db8:0:1::80")
RESOLVER = Dual("203.0.113.53", "2001:db8:0:1::53")
PUBLIC_RESOLVER = Dual("8.8.8.8", "2001:4860:4860::8888")
ON_THE_INTERNET = (EDGE, IMPOSTOR, ENDPOINTS, WEB, RESOLVER, PUBLIC_RESOLVER)

CONNECT_URL = "connect.example.com"
REGION_HOST = f"tunnel.us.{CONNECT_URL}"
DEFAULT_INGRESS = "connect.ngrok-agent.com"
REGIONAL_INGRESSES = tuple(
    f"connect.{region}.ngrok-agent.com"
    for region in ("us", "eu", "ap", "au", "sa", "jp", "in", "us-cal-1", "eu-lon-1")
)
LEGACY_INGRESSES = ("tunnel.ngrok.com", "tunnel.us.ngrok.com", "korgn.us.lennut.com")
INGRESSES = (DEFAULT_INGRESS, *REGIONAL_INGRESSES, *LEGACY_INGRESSES)
CLOAK = "innocent.example.net"
DOUBLE_CLOAK = f"cloaked.{CLOAK}"
HARMLESS_ALIAS = "alias.example.net"
CRL_HOST = "crl.ngrok-agent.com"
WEB_HOST = "www.example.org"
PASTE_HOST = "paste.example.org"
BIG_TXT_HOST = "big.example.org"
ENDPOINT_DOMAIN = "ngrok-free.app"
# Zones of their own, given to ngrok's name servers: somebody else's Connect URL, and ours.
NGROK_NAME_SERVER = "ns1.ngrok-dns.com"
FOREIGN_CONNECT_URL = "connect.example.net"
DELEGATED_CONNECT_URL = "connect.example.org"
SIGNED_ZONE = "signed.example.net"
SIGNED_HOST = f"www.{SIGNED_ZONE}"
RESOLVER_NAME = "dns.example.net"
