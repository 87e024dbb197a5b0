"""What the scenarios share: the check that a lab can be built here, and the lab itself."""

import os

import pki
import pytest
from e2e import policies
from e2e.ingress import ANY_NAME
from e2e.lab import Lab
from e2e.tools import find_sbin, missing_right, missing_tools
from e2e.topology import CONNECT_URL, DEFAULT_INGRESS, INGRESSES, REGION_HOST


def pytest_runtest_setup(item):
    """Skips what needs root, from one place, so that the summary says it once.

    Where the lab is wanted (CI says so), a lab that cannot be built is a failure.
    """
    if item.get_closest_marker("root") and (reason := missing_right()):
        if os.environ.get("REQUIRE_LAB"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def tools():
    """Fails without a tool, since apt has it."""
    find_sbin()
    if remedy := missing_tools():
        pytest.fail(remedy, pytrace=False)


@pytest.fixture(scope="session")
def authority():
    """The issuer that the company chose: shaped like ngrok's."""
    return pki.ngrok_like()


@pytest.fixture(scope="module")
def lab(request, tools, tmp_path_factory):
    with Lab(request.node.name, tmp_path_factory.mktemp("lab")) as lab:
        yield lab
        for gateway in lab.gateways:
            gateway.assert_well()


@pytest.fixture(scope="module")
def edge(lab, authority):
    """ngrok: the default names and the Connect URL on one address."""
    return lab.start_edge(
        {
            ANY_NAME: authority.leaf(DEFAULT_INGRESS),
            **{name: authority.leaf(name) for name in (CONNECT_URL, REGION_HOST, *INGRESSES)},
        }
    )


@pytest.fixture(scope="module")
def gateway(lab, edge, authority):
    """The product, enforcing; ngrok is there before it."""
    return lab.start_gateway(policies.enforcing(), files={policies.ROOT_FILE: authority.root_pem})
