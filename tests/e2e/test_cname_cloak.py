"""Way round: an innocent name that is an alias of a default name.

Closed by: the DNS plane, which asks the policy about every name in the answer's chain.
"""

import pytest
from e2e.judges import dig
from e2e.topology import CLOAK, DEFAULT_INGRESS, DOUBLE_CLOAK, HARMLESS_ALIAS, WEB, WEB_HOST

pytestmark = pytest.mark.root


@pytest.mark.parametrize("name", [CLOAK, DOUBLE_CLOAK], ids=["one_level", "two_levels"])
@pytest.mark.parametrize("kind", ["A", "AAAA", "CNAME"])
def test_alias_of_a_default_name_is_blocked(lab, gateway, name, kind):
    # A CNAME question gets the first step of the chain only: what is behind it comes later.
    answer = dig(lab.client, name, kind)
    if (name, kind) == (DOUBLE_CLOAK, "CNAME"):
        assert answer.data == (f"{CLOAK}.",)
        return
    assert answer.status == "NXDOMAIN"
    assert answer.data == ()
    assert f"it is an alias of {DEFAULT_INGRESS}" in answer.error


def test_blocked_alias_is_on_record_by_the_name_that_was_asked_for(lab, gateway):
    dig(lab.client, DOUBLE_CLOAK)
    record = gateway.audited("--name", DOUBLE_CLOAK, plane="dns", action="block")
    assert record["rule"] == "ngrok-connect"
    assert DEFAULT_INGRESS in record["reason"]


def test_agent_given_the_alias_is_refused(lab, gateway, edge, authority):
    result = lab.agent(f"{CLOAK}:443", authority.root_pem)
    assert result.error == "failed to connect session: failed to establish tcp connection"
    assert edge.hellos(CLOAK) == 0


def test_alias_is_refused_at_the_proxy_too(lab, gateway, edge, authority):
    result = lab.agent(f"{CLOAK}:443", authority.root_pem, via="connect")
    assert result.error == "failed to connect session: tls handshake error"
    record = gateway.audited("--name", CLOAK, plane="connect", action="block")
    assert DEFAULT_INGRESS in record["reason"]
    assert edge.hellos(CLOAK) == 0


def test_harmless_alias_is_answered(lab, gateway):
    assert dig(lab.client, HARMLESS_ALIAS).data == (f"{WEB_HOST}.", WEB.v4)
