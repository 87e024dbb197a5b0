"""What a lab needs of the machine: the right to make namespaces, and foreign tools."""

import os
import shutil
import subprocess
from functools import cache

# Each command, and the Debian package that has it.
TOOLS = {
    "unbound": "unbound",
    "dnssec-keygen": "bind9-utils",
    "dnssec-signzone": "bind9-utils",
    "nft": "nftables",
    "delv": "bind9-dnsutils",
    "dig": "bind9-dnsutils",
    "socat": "socat",
    "ncat": "ncat",
    "ip": "iproute2",
    "ss": "iproute2",
    "curl": "curl",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "sysctl": "procps",
}
SBIN = "/usr/sbin:/sbin"


def find_sbin() -> None:
    """Debian leaves sbin out of PATH for all but root's login shells."""
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:{SBIN}"


@cache
def missing_right() -> str:
    """Why this user may not build a lab; empty when nothing stands against it."""
    if os.geteuid() != 0:
        return "the end-to-end lab needs root: it builds network namespaces"
    if shutil.which("unshare"):
        made = subprocess.run(
            ["unshare", "--net", "--mount", "true"], capture_output=True, check=False
        )
        if made.returncode != 0:
            return "the end-to-end lab needs CAP_SYS_ADMIN: it builds network namespaces"
    return ""


def missing_tools() -> str:
    """The remedy in one line; empty when every tool is there."""
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    return f"the lab needs: apt-get install {' '.join(missing)}" if missing else ""
