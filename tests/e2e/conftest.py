"""What the scenarios share: the check that a lab can be built here, and the lab itself."""

import os
import shutil

import pki
import pytest
from e2e.ingress import ANY_NAME
from e2e.lab import Lab
from e2e.topology import CONNECT_URL, DEFAULT_INGRESS, INGRESSES

# Each command, and the Debian package that has it.
TOOLS = {
    "unbound": "unbound",
    "nft": "nftables",
    "dig": "dnsutils",
    "socat": "socat",
    "ncat": "ncat",
    "ip": "iproute2",
    "ss": "iproute2",
    "curl": "curl",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "sysctl": "procps",
}


@pytest.fixture(scope="session")
def tools():
    """Skips without root, which is nobody's fault; fails without a tool, which is."""
    if os.geteuid() != 0:
        pytest.skip("the end-to-end lab needs root: it builds network namespaces")
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if missing:
        pytest.fail(f"the lab needs: apt-get install {' '.join(missing)}", pytrace=False)


@pytest.fixture(scope="session")
def authority():
    """The issuer that the company chose: shaped like ngrok's."""
    return pki.ngrok_like()


@pytest.fixture(scope="module")
def lab(request, tools, tmp_path_factory):
    with Lab(request.node.name, tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def edge(lab, authority):
    """ngrok: the default names and the Connect URL on one address."""
    return lab.start_edge(
        {
            ANY_NAME: authority.leaf(DEFAULT_INGRESS),
            CONNECT_URL: authority.leaf(CONNECT_URL),
            **{name: authority.leaf(name) for name in INGRESSES},
        }
    )
