"""`enforcer run` as a process on loopback, without root: starts, serves, reloads, ends well."""

import signal
import socket
import subprocess

import pki
import pytest
from e2e.process import until
from integration.gateway_process import ANY_PORT, POLICY, Gateway


@pytest.fixture
def start(tmp_path):
    gateways = []

    def start(**options):
        gateways.append(Gateway(tmp_path, **options))
        return gateways[-1]

    yield start
    for gateway in gateways:
        gateway.process.stop()


def test_gateway_serves_on_every_listener_and_says_so(start):
    gateway = start().wait_until_up()
    assert "status: NXDOMAIN" in gateway.dig("connect.ngrok-agent.com")
    assert "status: NXDOMAIN" in gateway.dig("connect.ngrok-agent.com", "+tcp")
    answer = gateway.connect("connect.ngrok-agent.com:443")
    assert answer.startswith("HTTP/1.1 403 ")
    assert 'Proxy-Status: enforcer; error=http_request_denied; details="' in answer
    assert "use connect.example.com:443" in answer
    socket.create_connection(gateway.address("tls"), timeout=5).close()
    assert gateway.fetch("/healthz")[0] == 200
    assert gateway.fetch("/readyz")[0] == 200
    assert gateway.metric('enforcer_dns_queries_total{action="block",transport="tcp"}') == 1
    assert str(gateway.policy) in gateway.banner


def test_name_that_no_upstream_resolves_fails_and_the_gateway_stays_ready(start):
    gateway = start().wait_until_up()
    assert "status: SERVFAIL" in gateway.dig("www.example.org")
    assert gateway.fetch("/readyz")[0] == 200


def test_sigterm_ends_with_0_and_loses_nothing_that_was_audited(start):
    gateway = start(audit={"path": "audit.db", "flush_interval_ms": 60_000}).wait_until_up()
    for number in range(20):
        gateway.dig(f"connect.r{number}.ngrok-agent.com")
    assert gateway.audit() == []
    assert gateway.end() == 0
    assert {event["name"] for event in gateway.audit()} == {
        f"connect.r{number}.ngrok-agent.com" for number in range(20)
    }
    assert "Traceback" not in gateway.log


def test_second_signal_does_not_wait_for_open_connections(start):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gateway = start(drain_seconds=60).wait_until_up()
        with socket.create_connection(gateway.address("proxy"), timeout=5) as client:
            client.sendall(b"CONNECT")
            gateway.process.send(signal.SIGTERM)
            until(lambda: "stopping" in gateway.log, "the drain to begin")
            assert gateway.process.running
            assert gateway.end() == 0
        silent.close()


def test_sighup_and_a_changed_file_reload_the_policy(start):
    gateway = start().wait_until_up()
    succeeded = 'enforcer_policy_reloads_total{result="succeeded"}'
    assert "SERVFAIL" in gateway.dig("late.example.net")
    rule = "rules: [{id: late, action: block, match: {names: [late.example.net]}}]\n"
    gateway.policy.write_text(POLICY + rule)
    until(lambda: "NXDOMAIN" in gateway.dig("late.example.net"), "the change to be seen")
    before = gateway.metric(succeeded)
    gateway.process.send(signal.SIGHUP)
    until(lambda: gateway.metric(succeeded) > before, "the reload")


def test_broken_policy_keeps_the_old_one_and_shows(start):
    gateway = start().wait_until_up()
    gateway.policy.write_text(POLICY + "rules: [{id: late, action: perhaps}]\n")
    failed = 'enforcer_policy_reloads_total{result="failed"}'
    until(lambda: gateway.metric(failed) >= 1, "the reload to fail")
    assert gateway.metric("enforcer_policy_last_reload_successful") == 0
    assert f"{gateway.policy}:6" in gateway.log
    assert "NXDOMAIN" in gateway.dig("connect.ngrok-agent.com")
    gateway.policy.write_text(POLICY)
    last = "enforcer_policy_last_reload_successful"
    until(lambda: gateway.metric(last) == 1, "the mended file to be seen")


def test_port_that_is_taken_ends_the_start_with_a_remedy(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()
        gateway = start(listen={"proxy": [f"{host}:{port}"]})
        assert gateway.process.wait() == 1
    assert f"cannot listen on {host}:{port}" in gateway.log
    assert "listen.proxy" in gateway.log
    assert "Traceback" not in gateway.log


def test_upstream_that_is_the_gateway_itself_ends_the_start_with_a_remedy(start):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        here = f"127.0.0.1:{free.getsockname()[1]}"
    gateway = start(listen={"dns": [here]}, dns={"upstreams": [here]})
    assert gateway.process.wait() == 1
    assert f"the upstream {here} is this gateway itself" in gateway.log


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"policy": "version: 1\n"}, "policy.yaml:1: default: this key is missing"),
        ({"audit": {"path": "/proc/none/audit.db"}}, "the audit store /proc/none/audit.db"),
        ({"drain": 1}, "enforcer.yaml:"),
    ],
)
def test_files_that_must_not_be_used_end_the_start_in_a_sentence(start, options, said):
    gateway = start(**options)
    assert gateway.process.wait() in (1, 2)
    assert said in gateway.log
    assert "Traceback" not in gateway.log


def test_dns_over_tls_is_served_where_it_is_listened_for(start, tmp_path):
    pki.letsencrypt_like().leaf("dns.example").write(tmp_path, "dot")
    dot = {"certificate": "dot.pem", "key": "dot.key"}
    gateway = start(listen={"dot": [ANY_PORT]}, dns={"dot": dot}).wait_until_up()
    host, port = gateway.address("dot")
    argv = ["dig", "+tls", f"@{host}", "-p", str(port), "+tries=1", "connect.ngrok-agent.com"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    assert "status: NXDOMAIN" in done.stdout
    assert gateway.metric('enforcer_dns_queries_total{action="block",transport="dot"}') == 1
    assert gateway.end() == 0


def test_certificate_that_cannot_be_used_keeps_the_gateway_from_starting(start, tmp_path):
    for name in ("dot.pem", "dot.key"):
        (tmp_path / name).write_text("nonsense")
    dot = {"certificate": "dot.pem", "key": "dot.key"}
    gateway = start(listen={"dot": [ANY_PORT]}, dns={"dot": dot})
    assert gateway.process.wait() == 1
    assert "are not a certificate and its key in PEM" in gateway.log
    assert "change dns.dot in the settings" in gateway.log


def test_strangers_are_not_answered(start):
    gateway = start(dns={"allow_from": ["192.0.2.0/24"]}).wait_until_up()
    assert "EDE: 18 (Prohibited)" in gateway.dig("connect.ngrok-agent.com")
    assert "127.0.0.1 is refused, it is not in dns.allow_from" in gateway.log
    assert gateway.metric('enforcer_dns_discarded_total{reason="prohibited"}') == 1
