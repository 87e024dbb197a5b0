"""An upstream that falls silent: another answers, and clients hardly notice."""

import pytest
from e2e import policies
from e2e.judges import dig
from e2e.topology import DEFAULT_INGRESS, PUBLIC_RESOLVER, RESOLVER, WEB, WEB_HOST

pytestmark = pytest.mark.root

TIMEOUT_MS = 500
SOON_S = 2.0


@pytest.fixture(scope="module")
def gateway(lab, authority):
    upstreams = [RESOLVER.v4, PUBLIC_RESOLVER.v4]
    settings = {"dns": {"upstreams": upstreams, "timeout_ms": TIMEOUT_MS}}
    files = {policies.ROOT_FILE: authority.root_pem}
    return lab.start_gateway(policies.enforcing(), settings, files)


@pytest.mark.parametrize("silent", [RESOLVER.v4, PUBLIC_RESOLVER.v4])
def test_other_upstream_answers_in_good_time(lab, gateway, silent):
    with lab.closed(silent, 53):
        for number in range(3):
            answer = dig(lab.client, f"{number}-{silent.replace('.', '-')}.ngrok-free.app")
            assert answer.status == "NOERROR"
            assert answer.data
            assert answer.seconds < SOON_S


def test_with_none_left_it_is_a_failure_that_says_so(lab, gateway):
    with lab.closed(RESOLVER.v4, 53), lab.closed(PUBLIC_RESOLVER.v4, 53):
        answer = dig(lab.client, "+timeout=8", "never-asked.ngrok-free.app")
        assert answer.status == "SERVFAIL"
        assert answer.error.startswith("EDE: 22 ")
        assert dig(lab.client, DEFAULT_INGRESS).status == "NXDOMAIN"


def test_upstream_that_is_back_is_asked_again(lab, gateway):
    assert dig(lab.client, WEB_HOST).data == (WEB.v4,)
