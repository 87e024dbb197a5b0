"""One worker process, told and heard by a test in the main process's place."""

import signal
import socket
import subprocess
import sys
import time

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest

from enforcer.settings.dns import DnsSettings
from enforcer.workers.channel import Frames, frame
from enforcer.workers.report import read_counts, read_events

BLOCKED = "connect.ngrok-agent.com"
POLICY = "version: 1\ndefault: allow\ninclude: [packs/ngrok.yaml]\n"
BLOCKED_UDP = ("block", "udp")


class Teller:
    """The main process's end of the channel."""

    def __init__(self, policy, **settings):
        self._end, theirs = socket.socketpair()
        self._end.settimeout(20)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "enforcer.workers.process", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stderr=subprocess.PIPE,
                text=True,
            )
        self._frames = Frames()
        self._waiting = []
        dns_settings = DnsSettings(upstreams=("127.0.0.1:9",), **settings)
        self.tell(
            "start",
            dns=dns_settings.model_dump(mode="json"),
            policy=str(policy),
            cookie_secret="00" * 16,
            flush_interval_s=0.5,
        )

    def tell(self, what, **facts):
        self._end.sendall(frame({"is": what, **facts}))

    def hear(self):
        """The next message, or None at the end."""
        while not self._waiting:
            data = self._end.recv(65536)
            if not data:
                return None
            self._waiting += self._frames.feed(data)
        return self._waiting.pop(0)

    def hear_until(self, kind):
        """All messages up to one of this kind, or to the end."""
        heard = []
        while (message := self.hear()) is not None:
            heard.append(message)
            if message["is"] == kind:
                break
        return heard

    def listen(self, *endpoints, share="first"):
        self.tell("listen", at={"dns": [*endpoints]}, share_port=share)
        return self.hear_until("ready")[-1]["listening"]["dns"]

    def hang_up(self):
        self._end.close()

    def end(self):
        self.hang_up()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def worker(write_policy):
    tellers = []

    def start(policy=None, **settings):
        tellers.append(Teller(policy or write_policy(POLICY), **settings))
        return tellers[-1]

    yield start
    for teller in tellers:
        teller.end()


def ask(address, name=BLOCKED, **options):
    host, port = address
    return dns.query.udp(dns.message.make_query(name, "A", **options), host, 5, port)


def test_worker_serves_where_it_is_told_and_reports_all_of_it(worker):
    teller = worker()
    (address,) = teller.listen(["127.0.0.1", 0])
    for _ in range(5):
        assert ask(address).rcode() == dns.rcode.NXDOMAIN
    teller.tell("drain", seconds=1)
    heard = teller.hear_until("done")

    events = [
        event for message in heard if message["is"] == "events" for event in read_events(message)
    ]
    assert {event.name for event in events} == {BLOCKED}
    assert sum(event.occurrences for event in events) == 5
    digest, counts = read_counts([message for message in heard if message["is"] == "counts"][-1])
    assert counts["enforcer_dns_queries_total"][BLOCKED_UDP] == 5
    assert {event.policy for event in events} == {digest}
    assert teller.process.wait(5) == 0
    assert teller.process.stderr.read() == ""


def test_two_workers_with_one_secret_know_each_others_cookies(worker):
    one, other = worker(), worker()
    (address,) = one.listen(["127.0.0.1", 0])
    other.listen(address, share="join")
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"8 bytes!")
    cookies = set()
    for _ in range(20):
        (cookie,) = ask(address, options=[cookie]).options[:1]
        cookies.add(cookie.to_wire())

    assert len(cookies) == 1
    for teller in (one, other):
        teller.tell("drain", seconds=1)
        last = [message for message in teller.hear_until("done") if message["is"] == "counts"][-1]
        assert read_counts(last)[1]["enforcer_dns_queries_total"][BLOCKED_UDP] > 0


def test_policy_that_must_not_be_used_is_told_with_its_line(worker, write_policy):
    teller = worker(write_policy("version: 1\nmode: nonsense\n"))

    (failed,) = teller.hear_until("done")

    assert failed["is"] == "failed"
    assert "policy.yaml:2: mode: " in failed["problem"]
    assert teller.process.wait(5) == 0


def test_port_that_is_taken_is_told_with_a_remedy(worker):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        host, port = taken.getsockname()
        teller = worker()
        teller.tell("listen", at={"dns": [[host, port]]}, share_port="first")
        failed = teller.hear_until("failed")[-1]

    assert failed["problem"] == (
        f"cannot listen on {host}:{port}: Address already in use; change listen.dns in the settings"
    )
    assert teller.process.wait(5) == 0


def test_worker_whose_main_process_is_gone_ends_within_two_seconds(worker):
    teller = worker()
    (address,) = teller.listen(["127.0.0.1", 0])
    ask(address)
    teller.hang_up()

    assert teller.process.wait(2) == 0
    assert "the main process is gone" in teller.process.stderr.read()


def test_worker_that_was_told_nothing_yet_ends_with_the_main_process_too(worker):
    teller = worker()
    teller.hang_up()

    assert teller.process.wait(10) == 0


def test_reload_that_comes_before_it_listens_is_no_end(worker):
    teller = worker()
    teller.tell("reload")
    (address,) = teller.listen(["127.0.0.1", 0])

    assert ask(address).rcode() == dns.rcode.NXDOMAIN


def test_second_word_about_the_end_means_now(worker):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        host, port = silent.getsockname()
        forward = [{"suffixes": ["slow.example"], "upstreams": [f"{host}:{port}"]}]
        teller = worker(forward=forward, timeout_ms=20_000, total_timeout_ms=20_000)
        (address,) = teller.listen(["127.0.0.1", 0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(dns.message.make_query("a.slow.example", "A").to_wire(), tuple(address))
            silent.recv(4096)
            teller.tell("drain", seconds=20)
            began_s = time.monotonic()
            teller.tell("drain", seconds=0)
            assert teller.hear_until("done")[-1] == {"is": "done"}
    assert time.monotonic() - began_s < 5
    assert teller.process.wait(5) == 0


def test_signals_are_left_to_the_main_process(worker):
    teller = worker()
    (address,) = teller.listen(["127.0.0.1", 0])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        teller.process.send_signal(number)

    assert ask(address).rcode() == dns.rcode.NXDOMAIN
    assert teller.process.poll() is None
