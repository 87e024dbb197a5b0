"""The gateway's own upstream by DNS over TLS, whose name is verified, or not asked at all."""

import pytest
from e2e import policies
from e2e.judges import dig
from e2e.topology import DEFAULT_INGRESS, RESOLVER, RESOLVER_NAME, WEB, WEB_HOST

pytestmark = pytest.mark.root

SETTINGS = {
    "dns": {
        "upstreams": [f"tls://{RESOLVER.v4}#{RESOLVER_NAME}"],
        "upstream_ca_file": policies.ROOT_FILE,
        "timeout_ms": 1000,
    }
}


@pytest.fixture
def start(lab, authority):
    """Starts the resolver's TLS door with a certificate for this name, and a gateway."""
    started = []

    def with_certificate_for(name):
        started.append(lab.start_resolver_by_tls(authority.leaf(name)))
        files = {policies.ROOT_FILE: authority.root_pem}
        started.append(lab.start_gateway(policies.enforcing(), SETTINGS, files))
        return started[-1]

    yield with_certificate_for
    for process in reversed(started):
        process.stop()


def test_answers_come_over_tls_and_blocks_are_as_ever(lab, start):
    start(RESOLVER_NAME)
    # Port 53 of the upstream is closed to us: only 853 can have answered.
    with lab.closed(RESOLVER.v4, 53):
        assert dig(lab.client, WEB_HOST).data == (WEB.v4,)
        assert dig(lab.client, "+tcp", WEB_HOST, "AAAA").data == (WEB.v6,)
    assert dig(lab.client, DEFAULT_INGRESS).status == "NXDOMAIN"


def test_upstream_that_is_another_is_not_believed(lab, start):
    start("other.example.net")
    answer = dig(lab.client, WEB_HOST)
    assert (answer.status, answer.data) == ("SERVFAIL", ())
