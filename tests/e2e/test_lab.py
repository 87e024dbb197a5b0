"""The lab without the product: if these fail, no scenario says anything."""

from pathlib import Path

import pki
import pytest
from e2e.agent import GREETING
from e2e.ingress import ANY_NAME
from e2e.lab import Lab
from e2e.netns import RUN_NETNS
from e2e.topology import CONNECT_URL, DEFAULT_INGRESS, EDGE, IMPOSTOR, PUBLIC_RESOLVER

pytestmark = pytest.mark.root


def namespaces(name):
    return [path.name for path in RUN_NETNS.glob(f"*-{name}-*")]


def test_agent_reaches_the_default_ingress_where_nothing_enforces(lab, edge, authority):
    with lab.connected_agent(f"{DEFAULT_INGRESS}:443", authority.root_pem) as agent:
        assert agent.result.connected, agent.result.error
        assert edge.wait_for_bind(agent.result.url).sni == DEFAULT_INGRESS
        assert lab.ask_endpoint(agent.result.url) == GREETING.decode()


@pytest.mark.parametrize("address", EDGE)
def test_agent_given_an_address_asks_no_dns(lab, edge, authority, address):
    result = lab.agent(f"{CONNECT_URL}:443", authority.root_pem, address=address)
    assert result.connected, result.error


def test_pointing_a_name_elsewhere_takes_agents_to_the_impostor(lab, edge):
    authority = pki.letsencrypt_like()
    impostor = lab.start_edge({ANY_NAME: authority.leaf(CONNECT_URL)}, IMPOSTOR)
    lab.point(CONNECT_URL, IMPOSTOR)
    try:
        assert lab.agent(f"{CONNECT_URL}:443", authority.root_pem).connected
        assert impostor.sessions()[0].sni == CONNECT_URL
    finally:
        lab.point(CONNECT_URL, EDGE)


def test_client_asks_the_public_resolver(lab):
    answer = lab.client.run(["dig", CONNECT_URL]).stdout
    assert EDGE.v4 in answer
    assert PUBLIC_RESOLVER.v4 in answer


def test_nothing_is_left_after_a_failure(tools, tmp_path):
    def fail():
        with Lab("broken", tmp_path) as lab:
            process = lab.client.spawn(["sleep", "1000"], "sleep")
            assert process.running
            assert len(namespaces("broken")) == 3
            raise RuntimeError(process.pid)

    with pytest.raises(RuntimeError) as failure:
        fail()
    assert namespaces("broken") == []
    assert not Path(f"/proc/{failure.value.args[0]}").exists()
