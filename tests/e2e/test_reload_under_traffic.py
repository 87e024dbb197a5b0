"""A policy reload under traffic: no lookup and no connection is lost, whatever the file says."""

import pytest
from e2e import policies
from e2e.agent import GREETING
from e2e.judges import UNRECOGNIZED_NAME, dig, shake_hands
from e2e.process import until
from e2e.streams import HANDSHAKE_FAILED, connect_again_and_again, look_up_again_and_again
from e2e.topology import CONNECT_URL, WEB, WEB_HOST

pytestmark = pytest.mark.root

OPEN = policies.enforcing()
SHUT = policies.enforcing(rules=[policies.block("shut", names=[WEB_HOST])])
FLIPS = 6
# Enough of them to outlast the flips: a file change is seen within two looks, half a second apart.
LOOKUPS, CONNECTIONS = 1000, 400


@pytest.fixture(scope="module")
def running(lab, edge, authority):
    lab.start_web(authority.leaf(WEB_HOST))
    return lab.start_gateway(OPEN, files={policies.ROOT_FILE: authority.root_pem})


@pytest.fixture
def gateway(lab, running):
    """Each scenario begins with the site open."""
    put(running, lab, OPEN)
    return running


def put(gateway, lab, policy):
    """A new policy file, in force by its own change."""
    gateway.write_policy(policy)
    wanted = "NXDOMAIN" if policy == SHUT else "NOERROR"
    until(lambda: dig(lab.client, WEB_HOST).status == wanted, f"{wanted} for {WEB_HOST}")


def answered(gateway):
    return gateway.count("enforcer_dns_queries_total")


def test_file_change_reloads(lab, gateway):
    reloads = gateway.count("enforcer_policy_reloads_total", result="succeeded")
    put(gateway, lab, SHUT)
    assert shake_hands(lab.client, WEB.v4, WEB_HOST).alert == UNRECOGNIZED_NAME
    put(gateway, lab, OPEN)
    assert shake_hands(lab.client, WEB.v4, WEB_HOST).certificate
    gateway.wait_for_reloads(reloads + 2, "succeeded")


def test_sighup_reloads(lab, gateway):
    reloads = gateway.count("enforcer_policy_reloads_total", result="succeeded")
    gateway.reload()
    gateway.wait_for_reloads(reloads + 1, "succeeded")
    assert any("policy is unchanged" in line["event"] for line in gateway.log_lines())


def test_records_carry_the_policy_that_gave_the_verdict(lab, gateway):
    put(gateway, lab, SHUT)
    first = gateway.audited("--name", WEB_HOST, rule="shut")
    gateway.write_policy(SHUT.replace("the lab says so", "another reason"))
    until(lambda: "another reason" in dig(lab.client, WEB_HOST).error, "the other reason")
    second = gateway.audited("--name", WEB_HOST, rule="shut", reason="another reason")
    assert first["policy"] != second["policy"]


def test_nothing_is_lost_while_a_rule_flips(lab, gateway, edge, authority):
    """Every lookup and connection gets the old verdict or the new one, and no third thing."""
    before = answered(gateway)
    with lab.connected_agent(f"{CONNECT_URL}:443", authority.root_pem) as agent:
        assert agent.result.connected, agent.result.error
        over_udp = look_up_again_and_again(lab.client, WEB_HOST, LOOKUPS)
        over_tcp = look_up_again_and_again(lab.client, WEB_HOST, LOOKUPS // 4, "+tcp")
        connections = connect_again_and_again(lab.client, WEB_HOST, WEB.v4, CONNECTIONS)
        flips = 0
        while flips < FLIPS and over_udp.process.running:
            gateway.write_policy(SHUT if flips % 2 == 0 else OPEN)
            flips += 1
            reloads = gateway.count("enforcer_policy_reloads_total", result="succeeded")
            if flips % 2:
                gateway.reload()
            gateway.wait_for_reloads(reloads + 1, "succeeded")
            assert lab.ask_endpoint(agent.result.url) == GREETING.decode()
        udp, tcp, tls = (one.outcomes() for one in (over_udp, over_tcp, connections))
        session = edge.wait_for_bind(agent.result.url)
        assert not session.ended
    assert flips == FLIPS
    assert set(udp) == {"NOERROR", "NXDOMAIN"}, udp
    assert udp.total() == LOOKUPS, udp
    assert set(tcp) <= {"NOERROR", "NXDOMAIN"}, tcp
    assert tcp.total() == LOOKUPS // 4, tcp
    assert set(tls) == {"200 0", f"000 {HANDSHAKE_FAILED}"}, tls
    assert tls.total() == CONNECTIONS, tls
    refusals = connections.process.stderr.read_text().split("\n")
    assert sum("unrecognized name" in line for line in refusals) == tls[f"000 {HANDSHAKE_FAILED}"]
    # The agent's own lookups come on top: one name, two families.
    assert answered(gateway) - before == udp.total() + tcp.total() + 2


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (SHUT.replace("action: block", "action: blok"), SHUT.split("action: block")[0]),
        (SHUT + "surprise: true\n", SHUT),
        (SHUT.replace("rules:", "rules: ["), None),
        ("", None),
    ],
    ids=["wrong_value", "unknown_key", "no_yaml", "empty"],
)
def test_broken_file_keeps_the_old_policy(lab, gateway, broken, line):
    failures = gateway.count("enforcer_policy_reloads_total", result="failed")
    gateway.write_policy(broken)
    gateway.reload()
    gateway.wait_for_reloads(failures + 1, "failed")
    assert gateway.count("enforcer_policy_last_reload_successful") == 0
    assert dig(lab.client, WEB_HOST).status == "NOERROR"
    assert dig(lab.client, "connect.ngrok-agent.com").status == "NXDOMAIN"
    complaint = [one["event"] for one in gateway.log_lines() if "not reloaded" in one["event"]][-1]
    where = f"policy.yaml:{line.count(chr(10)) + 1}" if line else "policy.yaml:"
    assert where in complaint
    assert gateway.fetch("/readyz").startswith("200")
    put(gateway, lab, SHUT)
    assert gateway.count("enforcer_policy_last_reload_successful") == 1
