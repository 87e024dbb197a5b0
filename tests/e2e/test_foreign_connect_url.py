"""Way round: somebody else's Connect URL, behind a name that nobody has listed.

Closed by: the DNS plane, which knows the name by the name servers that its zone is given to,
where a rule is about them. The company's own Connect URL is given to the same, and is let
through by its name.
"""

import pytest
from e2e import policies
from e2e.judges import dig
from e2e.topology import (
    DELEGATED_CONNECT_URL,
    EDGE,
    FOREIGN_CONNECT_URL,
    NGROK_NAME_SERVER,
    WEB,
    WEB_HOST,
)

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def gateway(lab, edge, authority):
    policy = policies.enforcing(
        connect_urls=[policies.connect_url(DELEGATED_CONNECT_URL)],
        rules=[policies.block("foreign", nsdnames=["ngrok-dns.com"], planes=["dns"])],
    )
    return lab.start_gateway(policy, files={policies.ROOT_FILE: authority.root_pem})


@pytest.mark.parametrize("name", [FOREIGN_CONNECT_URL, f"below.{FOREIGN_CONNECT_URL}"])
@pytest.mark.parametrize("kind", ["A", "AAAA", "HTTPS"])
def test_name_in_a_zone_that_ngrok_serves_is_blocked(lab, gateway, name, kind):
    answer = dig(lab.client, name, kind)
    assert (answer.status, answer.data) == ("NXDOMAIN", ())
    assert "blocked by rule foreign" in answer.error


def test_upstream_has_the_zone_at_that_server(lab, gateway):
    """Else the test above shows nothing."""
    assert dig(lab.internet, FOREIGN_CONNECT_URL, "NS").data == (f"{NGROK_NAME_SERVER}.",)
    assert dig(lab.internet, FOREIGN_CONNECT_URL).data == (EDGE.v4,)


def test_agent_with_a_foreign_connect_url_is_refused(lab, gateway, edge, authority):
    result = lab.agent(f"{FOREIGN_CONNECT_URL}:443", authority.root_pem)
    assert result.error == "failed to connect session: failed to establish tcp connection"
    assert edge.hellos(FOREIGN_CONNECT_URL) == 0
    record = gateway.audited("--name", FOREIGN_CONNECT_URL, plane="dns", action="block")
    assert record["rule"] == "foreign"


def test_own_connect_url_at_the_same_server_is_answered(lab, gateway):
    assert dig(lab.client, DELEGATED_CONNECT_URL).data == (EDGE.v4,)


def test_other_zones_are_answered(lab, gateway):
    assert dig(lab.client, WEB_HOST).data == (WEB.v4,)
