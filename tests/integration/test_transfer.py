"""Zones from a real primary, nsd: whole, by changes, signed, and when it does not want to."""

import base64
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import dns.flags
import dns.message
import dns.rrset
import pytest

from enforcer.dns.transfers.transfer import (
    TransferError,
    ZoneTransfers,
    fetch,
    fetch_missing,
    is_newer,
    load_key,
)
from enforcer.dns.transfers.zone_copy import read_soa
from enforcer.metrics import Metrics
from enforcer.policy.rpz import load_rpz
from enforcer.settings.transfer import TransferSettings, TsigSettings

SECRET = base64.b64encode(b"of the key that both sides have").decode()
ZONE = "rpz.example"
CONFIG = """
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  logfile: "{folder}/log"
  xfrdir: "{folder}"
  server-count: 1
remote-control:
  control-enable: no
key:
  name: "feed.key"
  algorithm: hmac-sha256
  secret: "{secret}"
zone:
  name: rpz.example
  zonefile: rpz.zone
  store-ixfr: {ixfr}
  create-ixfr: {ixfr}
  provide-xfr: 127.0.0.1 feed.key
"""
HEAD = """\
$ORIGIN rpz.example.
$TTL 300
@ SOA localhost. root.localhost. {} 1 1 600 60
 NS localhost.
"""


class Nsd:
    """A primary with one zone, on loopback."""

    def __init__(self, command, folder, *, ixfr="yes"):
        self.folder = folder
        self.primary = f"127.0.0.1:{free_port()}"
        config = folder / "nsd.conf"
        port = self.primary.rpartition(":")[2]
        config.write_text(CONFIG.format(folder=folder, port=port, secret=SECRET, ixfr=ixfr))
        self.serve(1, "bad.example CNAME .\ngone.example CNAME .\n")
        self.process = subprocess.Popen([command, "-d", "-c", str(config)])
        self.wait_for(1)

    def serve(self, serial, records):
        (self.folder / "rpz.zone").write_text(HEAD.format(serial) + records)

    def reload(self, serial, records):
        self.serve(serial, records)
        self.process.send_signal(1)
        self.wait_for(serial)

    def wait_for(self, serial):
        host, port = self.primary.split(":")
        ask = ["dig", f"@{host}", "-p", port, ZONE, "SOA", "+short", "+tries=1", "+time=1"]
        for _ in range(200):
            said = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
            if f" {serial} 1 1 " in said:
                return
            time.sleep(0.05)
        pytest.fail(f"nsd does not serve serial {serial}: {(self.folder / 'log').read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)


def free_port():
    """Free on both transports; the small chance that it is taken in between is accepted."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(tcp.getsockname())
        return tcp.getsockname()[1]


@pytest.fixture(scope="session")
def nsd_command():
    command = shutil.which("nsd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not command:
        say = pytest.fail if os.environ.get("REQUIRE_LAB") else pytest.skip
        say("transfers are tested against nsd: apt-get install nsd")
    return command


@pytest.fixture
def start_nsd(nsd_command, tmp_path_factory):
    started = []

    def start(**options):
        started.append(Nsd(nsd_command, tmp_path_factory.mktemp("nsd"), **options))
        return started[-1]

    yield start
    for nsd in started:
        nsd.stop()


@pytest.fixture
def nsd(start_nsd):
    return start_nsd()


@pytest.fixture
def transfer_from(tmp_path):
    """Settings of a transfer, with the right key unless another one is given."""

    def settings(primary, secret=SECRET, **options):
        (tmp_path / "secret").write_text(f"{secret}\n")
        tsig = {"name": "feed.key", "secret_file": tmp_path / "secret", **options}
        file = tmp_path / "feed.rpz"
        return TransferSettings(
            zone=ZONE, primary=primary, file=file, tsig=tsig if secret else None
        )

    return settings


def names(transfer):
    rules = load_rpz("feed", "feed.rpz", [transfer.file.read_bytes()]).rules
    return {name for rule in rules for name in rule.match.names}


def test_a_zone_comes_whole_then_by_its_changes(nsd, transfer_from, caplog):
    transfer = transfer_from(nsd.primary)
    caplog.set_level("INFO")

    assert fetch(transfer).records == 4
    assert names(transfer) == {"bad.example", "gone.example"}
    assert fetch(transfer).records is None

    nsd.reload(2, "bad.example CNAME .\nnew.example CNAME .\n")
    assert fetch(transfer).soa.serial == 2
    assert names(transfer) == {"bad.example", "new.example"}
    assert "no incremental transfer" not in caplog.text


def test_a_primary_without_changes_sends_the_whole(start_nsd, transfer_from):
    nsd = start_nsd(ixfr="no")
    transfer = transfer_from(nsd.primary)
    fetch(transfer)
    nsd.reload(2, "new.example CNAME .\n")

    assert fetch(transfer).records == 3
    assert names(transfer) == {"new.example"}


def test_a_copy_that_somebody_changed_is_fetched_again(nsd, transfer_from, caplog):
    transfer = transfer_from(nsd.primary)
    caplog.set_level("INFO")
    fetch(transfer)
    text = transfer.file.read_text().replace("gone.example", "mine.example")
    transfer.file.write_text(text)
    nsd.reload(2, "bad.example CNAME .\n")

    assert fetch(transfer).records == 3
    assert names(transfer) == {"bad.example"}
    assert "no incremental transfer" in caplog.text


@pytest.mark.parametrize("secret", ["", base64.b64encode(b"another").decode()])
def test_without_the_key_nothing_comes_and_the_copy_stays(nsd, transfer_from, secret):
    transfer = transfer_from(nsd.primary)
    fetch(transfer)
    before = transfer.file.read_bytes()
    nsd.reload(2, "new.example CNAME .\n")

    with pytest.raises(TransferError, match=f"zone {ZONE} was not fetched from {nsd.primary}"):
        fetch(transfer_from(nsd.primary, secret))
    assert transfer.file.read_bytes() == before


def test_an_unsigned_reply_is_none_when_there_is_a_key(transfer_from):
    """Whoever can answer for the primary's address must not keep a zone from being updated."""

    def lie(server):
        connection, _ = server.accept()
        with connection:
            packet = connection.recv(4096)
            query = dns.message.from_wire(packet[2:], keyring=False)
            reply = dns.message.Message(query.id)
            reply.flags = dns.flags.QR | dns.flags.AA
            reply.question = query.question
            reply.answer = [dns.rrset.from_text(f"{ZONE}.", 60, "IN", "SOA", "a. b. 1 1 1 1 1")]
            wire = reply.to_wire()
            connection.sendall(len(wire).to_bytes(2, "big") + wire)

    with socket.create_server(("127.0.0.1", 0)) as server:
        transfer = transfer_from(f"127.0.0.1:{server.getsockname()[1]}")
        transfer.file.write_text("$ORIGIN rpz.example.\n@ 60 SOA a. b. 1 1 1 600 1\n")
        liar = threading.Thread(target=lie, args=(server,))
        liar.start()
        with pytest.raises(TransferError, match=r"TSIG|not signed"):
            fetch(transfer)
        liar.join()


def test_what_was_never_fetched_is_fetched_before_the_policy_needs_it(nsd, transfer_from):
    transfer = transfer_from(nsd.primary)
    fetch_missing((transfer,))
    assert names(transfer) == {"bad.example", "gone.example"}

    nsd.stop()
    fetch_missing((transfer,))


SETTINGS = """
listen: {{dns: ["127.0.0.1:0"], proxy: [], tls: [], admin: "127.0.0.1:0"}}
policy: policy.yaml
audit: {{path: audit.db}}
dns:
  upstreams: [192.0.2.53]
  transfers:
    - zone: rpz.example
      primary: {primary}
      file: feed.rpz
      tsig: {{name: feed.key, secret_file: secret}}
"""
POLICY = "version: 1\ndefault: allow\nrpz: [{id: feed, file: feed.rpz}]\n"


@pytest.fixture
def run_gateway(tmp_path):
    """``enforcer run`` with a policy that names a zone which is not there yet."""
    started = []

    def run(primary):
        (tmp_path / "secret").write_text(SECRET)
        (tmp_path / "policy.yaml").write_text(POLICY)
        (tmp_path / "enforcer.yaml").write_text(SETTINGS.format(primary=primary))
        command = [sys.executable, "-m", "enforcer", "run", "--config", "enforcer.yaml"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=tmp_path, **pipes))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_a_gateway_fetches_a_zone_that_its_policy_needs_before_it_starts(nsd, run_gateway):
    gateway = run_gateway(nsd.primary)
    banner = "".join(iter(gateway.stdout.readline, "Try it from another terminal:\n"))
    port = re.search(r"^  dns +127\.0\.0\.1:(\d+)", banner, re.MULTILINE)[1]
    ask = ["dig", "@127.0.0.1", "-p", port, "bad.example"]

    assert "NXDOMAIN" in subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    gateway.terminate()
    assert gateway.wait(timeout=20) == 0


def test_a_gateway_whose_zone_cannot_be_fetched_says_so_and_ends(run_gateway):
    primary = f"127.0.0.1:{free_port()}"
    gateway = run_gateway(primary)
    _, said = gateway.communicate(timeout=30)

    assert gateway.returncode == 1
    assert f"zone rpz.example was not fetched from {primary}" in said
    assert "Traceback" not in said


def test_nobody_there_is_told(transfer_from):
    transfer = transfer_from(f"127.0.0.1:{free_port()}")

    with pytest.raises(TransferError, match="was not fetched"):
        fetch(transfer)
    assert not transfer.file.exists()


def becomes_true(condition):
    for _ in range(400):
        if condition():
            return
        time.sleep(0.025)
    pytest.fail("it never became true")


def test_copies_are_kept_up_to_date_and_counted(nsd, transfer_from):
    transfer = transfer_from(nsd.primary)
    metrics = Metrics()
    transfers = ZoneTransfers((transfer,), metrics, lambda: 1000.0, least_wait_s=0.05)
    updated = metrics.zone_transfers.cell(ZONE, "updated")
    transfers.start()
    try:
        becomes_true(lambda: updated.value == 1)
        nsd.reload(2, "new.example CNAME .\n")
        becomes_true(lambda: updated.value == 2)
        assert names(transfer) == {"new.example"}
        assert metrics.zone_last_success.cell(ZONE).value == 1000.0
        nsd.stop()
        becomes_true(lambda: metrics.zone_transfers.cell(ZONE, "failed").value)
        assert metrics.zone_expired.cell(ZONE).value == 0
    finally:
        transfers.stop()


def test_a_zone_past_its_time_is_told_and_stays(transfer_from, caplog):
    transfer = transfer_from(f"127.0.0.1:{free_port()}")
    transfer.file.write_text("$ORIGIN rpz.example.\n@ 60 SOA a. b. 1 1 1 0 1\n")
    metrics = Metrics()
    transfers = ZoneTransfers((transfer,), metrics, lambda: 1000.0, least_wait_s=0.05)
    transfers.start()
    try:
        becomes_true(lambda: metrics.zone_expired.cell(ZONE).value)
    finally:
        transfers.stop()
    assert "has expired; the old copy stays in force" in caplog.text
    assert read_soa(transfer.file).serial == 1


@pytest.mark.parametrize(
    ("serial", "than", "newer"),
    [(2, 1, True), (1, 1, False), (1, 2, False), (0, 2**32 - 1, True), (2**31, 0, False)],
)
def test_serials_go_round(serial, than, newer):
    """RFC 1982 3.2."""
    assert is_newer(serial, than) == newer


@pytest.mark.parametrize("content", [None, "", "not base64!", "\n"])
def test_a_key_that_cannot_be_read_is_told_without_its_secret(tmp_path, content):
    path = tmp_path / "secret"
    if content is not None:
        path.write_text(content)

    with pytest.raises(TransferError) as refused:
        load_key(TsigSettings(name="feed.key", secret_file=path))
    assert str(path) in str(refused.value)
    assert "not base64!" not in str(refused.value)
