"""Several processes that serve DNS on one port, as clients, a scraper and an auditor see them."""

import collections
import contextlib
import os
import signal
import socket
import ssl
import threading
import time
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pki
import pytest
from e2e.process import until
from integration.gateway_process import ANY_PORT, POLICY, Gateway, children_of

BLOCKED = "connect.ngrok-agent.com"
SOURCES = 24
IN_STEP = 'enforcer_dns_workers{state="in_step"}'
BEHIND = 'enforcer_dns_workers{state="behind"}'
RESTARTS = "enforcer_dns_worker_restarts_total"
BLOCKED_UDP = 'enforcer_dns_queries_total{action="block",transport="udp"}'
BLOCKED_TCP = 'enforcer_dns_queries_total{action="block",transport="tcp"}'


@pytest.fixture
def start(tmp_path):
    with contextlib.ExitStack() as ends:

        def start(*, workers=2, directory=tmp_path, **options):
            dns_options = {"upstreams": ["127.0.0.1:9"], "timeout_ms": 100, "workers": workers}
            options["dns"] = dns_options | options.get("dns", {})
            listen = {"proxy": [], "tls": []} | options.pop("listen", {})
            gateway = Gateway(directory, listen=listen, **options)
            ends.callback(gateway.process.stop)
            return gateway

        yield start


class Clients:
    """One name's question from many ports: the kernel deals them out to the workers."""

    def __init__(self, gateway, name=BLOCKED, count=SOURCES):
        self._packet = dns.message.make_query(name, "A", id=4711).to_wire()
        self._sockets = []
        for _ in range(count):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.connect(gateway.address("dns"))
            client.settimeout(5)
            self._sockets.append(client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self._sockets:
            client.close()

    def ask(self, timeout_s=5.0):
        """Each asks once; which of them got an answer, and its code."""
        for client in self._sockets:
            client.send(self._packet)
        codes = {}
        deadline_s = time.monotonic() + timeout_s
        for number, client in enumerate(self._sockets):
            client.settimeout(max(deadline_s - time.monotonic(), 0.001))
            with contextlib.suppress(TimeoutError):
                codes[number] = client.recv(4096)[3] & 0xF
        return codes

    def forget(self):
        """What came late."""
        time.sleep(0.2)
        for client in self._sockets:
            client.settimeout(0.001)
            with contextlib.suppress(TimeoutError):
                while True:
                    client.recv(4096)


def workers_of(gateway):
    return children_of(gateway.process.pid)


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def stored(gateway):
    """How often each name was recorded."""
    counts = collections.Counter()
    for event in gateway.audit():
        counts[event["name"]] += event["count"]
    return counts


def test_two_processes_answer_on_one_port(start):
    gateway = start().wait_until_up()
    one, other = workers_of(gateway)
    with Clients(gateway) as clients:
        assert len(clients.ask()) == SOURCES
        with stopped(one):
            of_other = clients.ask(0.3).keys()
        clients.forget()
        with stopped(other):
            of_one = clients.ask(0.3).keys()

    assert of_one
    assert of_other
    assert not of_one & of_other
    assert len(of_one) + len(of_other) == SOURCES
    question = dns.message.make_query(BLOCKED, "A")
    host, port = gateway.address("dns")
    assert dns.query.tcp(question, host, 5, port).rcode() == dns.rcode.NXDOMAIN
    assert gateway.fetch("/readyz")[0] == 200


def test_asked_is_counted_is_stored(start):
    gateway = start(workers=3).wait_until_up()
    rounds, tcp_queries = 60, 20
    asked = 0
    for number in range(rounds // 20):
        with Clients(gateway, f"connect.r{number}.ngrok-agent.com", count=50) as clients:
            for _ in range(20):
                asked += len(clients.ask())
    question = dns.message.make_query(BLOCKED, "A")
    host, port = gateway.address("dns")
    for _ in range(tcp_queries):
        dns.query.tcp(question, host, 5, port)

    assert asked == rounds * 50
    until(
        lambda: gateway.metric("enforcer_audit_events_stored_total") >= asked + tcp_queries,
        "all to be stored",
    )
    assert gateway.metric(BLOCKED_UDP) == asked
    assert gateway.metric(BLOCKED_TCP) == tcp_queries
    assert gateway.metric('enforcer_dns_answers_total{origin="policy"}') == asked + tcp_queries
    assert gateway.metric("enforcer_audit_events_total") == asked + tcp_queries
    assert gateway.end() == 0
    assert stored(gateway).total() == asked + tcp_queries


def test_a_changed_policy_is_in_force_in_all_of_them(start):
    gateway = start().wait_until_up()
    assert gateway.metric(IN_STEP) == 2
    rule = "rules: [{id: late, action: block, match: {names: [late.example.net]}}]\n"
    with Clients(gateway, "late.example.net") as clients:
        assert set(clients.ask().values()) == {dns.rcode.SERVFAIL}
        gateway.policy.write_text(POLICY + rule)
        gateway.process.send(signal.SIGHUP)
        until(lambda: set(clients.ask().values()) == {dns.rcode.NXDOMAIN}, "all to have it")
    until(lambda: gateway.metric(IN_STEP) == 2, "all to say so")
    assert gateway.metric(BEHIND) == 0
    until(lambda: stored(gateway)["late.example.net"], "a record")
    (digest,) = {event["policy"] for event in gateway.audit()}
    assert f'digest="{digest}"' in gateway.fetch("/metrics")[1]


def test_one_that_is_killed_comes_back_and_what_it_counted_stays(start):
    gateway = start().wait_until_up()
    with Clients(gateway) as clients:
        clients.ask()
        until(lambda: gateway.metric(BLOCKED_UDP) == SOURCES, "the count")
        killed, other = workers_of(gateway)
        os.kill(killed, signal.SIGKILL)
        until(lambda: gateway.metric(IN_STEP) == 1, "its end to be seen")
        assert gateway.metric(BLOCKED_UDP) == SOURCES
        until(lambda: gateway.metric(IN_STEP) == 2, "it to come back", 15)
        assert len(clients.ask()) == SOURCES
        until(lambda: gateway.metric(BLOCKED_UDP) == 2 * SOURCES, "the count")
    assert gateway.metric(RESTARTS) == 1
    assert killed not in workers_of(gateway)
    assert other in workers_of(gateway)
    assert "killed by signal 9; DNS worker 0 is started again in 1 s" in gateway.log
    assert gateway.end() == 0
    assert stored(gateway)[BLOCKED] == 2 * SOURCES


def test_gateway_without_a_living_worker_is_not_ready(start):
    gateway = start(workers=1).wait_until_up()
    (only,) = workers_of(gateway)
    os.kill(only, signal.SIGKILL)
    until(lambda: gateway.fetch("/readyz") == (503, "not ready, missing: dns\n"), "that to show")
    until(lambda: gateway.fetch("/readyz")[0] == 200, "it to come back", 15)
    with Clients(gateway, count=2) as clients:
        assert len(clients.ask()) == 2


def test_workers_leave_signals_to_the_main_process(start):
    """As Ctrl-C at a terminal and systemd's SIGTERM to all processes reach them, too."""
    gateway = start().wait_until_up()
    workers = workers_of(gateway)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for pid in workers:
            os.kill(pid, number)
    with Clients(gateway) as clients:
        assert len(clients.ask()) == SOURCES
    assert workers_of(gateway) == workers
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    assert gateway.end() == 0
    assert stored(gateway)[BLOCKED] == SOURCES
    assert "Traceback" not in gateway.log


class Load:
    """Asks for one new name after the other, and keeps when each was answered."""

    def __init__(self, gateway):
        self._address = gateway.address("dns")
        self._threads = [threading.Thread(target=self._ask, args=(lane,)) for lane in range(8)]
        self._ended = threading.Event()
        self.answered = {}

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, lane):
        number = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(self._address)
            client.settimeout(1)
            while not self._ended.is_set():
                name = f"connect.r{lane}x{number}.ngrok-agent.com"
                number += 1
                try:
                    client.send(dns.message.make_query(name, "A", id=1).to_wire())
                    client.recv(4096)
                except OSError:
                    return
                self.answered[name] = time.time()
                # So that there is room on record for each name.
                time.sleep(0.01)


def test_sigterm_under_load_loses_nothing_that_was_answered(start):
    gateway = start(audit={"path": "audit.db", "flush_interval_ms": 60_000}).wait_until_up()
    with Load(gateway) as load:
        time.sleep(1)
        assert gateway.end() == 0

    assert len(load.answered) > 100
    assert stored(gateway).keys() >= load.answered.keys()
    assert "Traceback" not in gateway.log


def test_main_process_that_is_killed_takes_its_workers_along_and_loses_one_interval(start):
    interval_s, write_s = 0.5, 0.5
    gateway = start(audit={"path": "audit.db", "flush_interval_ms": 500}).wait_until_up()
    workers = workers_of(gateway)
    with Load(gateway) as load:
        time.sleep(2)
        gateway.process.send(signal.SIGKILL)
        killed_s = time.time()
        gateway.process.wait()
        until(lambda: not any(map(is_there, workers)), "the workers to end", 2)

    names = stored(gateway)
    lost = {name: at for name, at in load.answered.items() if name not in names}
    assert len(names) > 100
    assert all(at > killed_s - interval_s - write_s for at in lost.values())


def test_a_port_that_another_gateway_shares_among_its_workers_is_taken(start, tmp_path):
    host, port = start().wait_until_up().address("dns")
    (tmp_path / "second").mkdir()
    second = start(directory=tmp_path / "second", listen={"dns": [f"{host}:{port}"]})
    assert second.process.wait() == 1
    assert f"error: cannot listen on {host}:{port}: Address already in use" in second.log
    assert "change listen.dns in the settings" in second.log
    assert "Traceback" not in second.log


def test_several_addresses_and_tls_are_shared_too(start, tmp_path):
    certificate, key = pki.letsencrypt_like().leaf("dns.example").write(tmp_path, "dot")
    dot = {"certificate": str(certificate), "key": str(key)}
    listen = {"dns": [ANY_PORT, "[::1]:0"], "dot": [ANY_PORT]}
    gateway = start(listen=listen, dns={"dot": dot}).wait_until_up()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    wire = dns.message.make_query(BLOCKED, "A").to_wire()
    for _ in range(8):
        with (
            socket.create_connection(gateway.address("dot"), timeout=5) as plain,
            context.wrap_socket(plain) as client,
        ):
            client.sendall(len(wire).to_bytes(2, "big") + wire)
            reply = client.makefile("rb")
            answer = reply.read(int.from_bytes(reply.read(2), "big"))
            assert dns.message.from_wire(answer).rcode() == dns.rcode.NXDOMAIN
    queries = 'enforcer_dns_queries_total{action="block",transport="dot"}'
    until(lambda: gateway.metric(queries) == 8, "the count")


def test_what_all_may_do_together_is_divided(start):
    """Four a second are two for each of two workers, and twice that at once."""
    gateway = start(dns={"rate_limit_per_second": 4}).wait_until_up()
    limited = 'enforcer_dns_discarded_total{reason="rate_limited"}'
    with Clients(gateway, count=1) as clients:
        for _ in range(4):
            clients.ask()
        clients.ask(0.2)
        until(lambda: gateway.metric(limited) >= 1, "the limit")
