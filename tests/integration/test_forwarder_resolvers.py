"""Through the forwarder to real resolvers, over all they speak: unbound and dnsmasq."""

import asyncio
import contextlib
import shutil
import socket
import subprocess

import dns.flags
import dns.message
import dns.rdatatype
import pki
import pytest
from integration.upstream_servers import HOST, Client, query

from enforcer.dns.packets.wire import Edns
from enforcer.dns.upstream.link import LinkOptions
from enforcer.settings.upstream import Transport, Upstream

NAME = "dns.example"
BIG = "big.enforcer.test"
UNBOUND = """\
server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 0
  do-daemonize: no
  do-not-query-localhost: no
  interface: 127.0.0.1@{udp}
  interface: 127.0.0.1@{tls}
  interface: 127.0.0.1@{https}
  tls-port: {tls}
  https-port: {https}
  http-endpoint: /dns-query
  tls-service-key: "{key}"
  tls-service-pem: "{chain}"
  local-zone: "enforcer.test." static
  local-data: "www.enforcer.test. 60 IN A 192.0.2.1"
  local-data: "www.enforcer.test. 60 IN AAAA 2001:db8::1"
{big}
"""


def free_ports(count):
    """Ports that are free for UDP and TCP."""
    with contextlib.ExitStack() as held:
        ports = []
        for _ in range(count):
            tcp = held.enter_context(socket.socket())
            tcp.bind((HOST, 0))
            ports.append(tcp.getsockname()[1])
        return ports


@contextlib.contextmanager
def process(argv, port):
    """A server, once it takes connections; ended with the test."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection((HOST, port)):
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    pytest.fail(f"{argv[0]} ended: {running.communicate(timeout=0.05)[0].decode()}")
            yield
        finally:
            running.kill()


@pytest.fixture(scope="module")
def unbound(tmp_path_factory):
    """Its upstreams by what they speak, and the settings that trust it."""
    if not shutil.which("unbound"):
        pytest.skip("unbound is not installed")
    directory = tmp_path_factory.mktemp("unbound")
    authority = pki.letsencrypt_like()
    chain, key = authority.leaf(NAME).write(directory, "server")
    roots = directory / "roots.pem"
    roots.write_bytes(authority.root_pem)
    udp, tls, https = free_ports(3)
    big = "\n".join(f'  local-data: "{BIG}. 60 IN TXT {"x" * 200}{n}"' for n in range(40))
    config = directory / "unbound.conf"
    filled = {"directory": directory, "udp": udp, "tls": tls, "https": https, "big": big}
    config.write_text(UNBOUND.format(**filled, key=key, chain=chain))
    with process(["unbound", "-d", "-c", str(config)], udp):
        yield (
            {
                Transport.UDP: Upstream(HOST, udp),
                Transport.TCP: Upstream(HOST, udp, Transport.TCP),
                Transport.TLS: Upstream(HOST, tls, Transport.TLS, NAME),
                Transport.HTTPS: Upstream(HOST, https, Transport.HTTPS, NAME, "/dns-query"),
            },
            LinkOptions(ca_file=roots),
        )


@pytest.fixture(scope="module")
def dnsmasq():
    if not shutil.which("dnsmasq"):
        pytest.skip("dnsmasq is not installed")
    [port] = free_ports(1)
    argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]
    argv += ["--pid-file=", "--user=", "--bind-interfaces", f"--listen-address={HOST}"]
    argv += [f"--port={port}", "--address=/www.enforcer.test/192.0.2.1", "--local=/#/"]
    with process(argv, port):
        yield Upstream(HOST, port)


def typed(name, rtype, **changes):
    asked = query(name, **changes)
    return asked._replace(qtype=rtype, question=asked.name + rtype.to_bytes(2, "big") + b"\0\1")


@pytest.mark.parametrize("transport", Transport)
def test_unbound_answers_over_all_it_speaks(run, unbound, transport):
    upstreams, options = unbound

    async def scenario():
        async with Client(upstreams[transport], options=options) as client:
            asked = query("WWW.enforcer.test")
            for _ in range(3):
                reply = dns.message.from_wire(await client.forwarder.ask(asked))
                assert [str(record) for record in reply.answer[0]] == ["192.0.2.1"]
                assert reply.edns == -1
            replies = await asyncio.gather(
                *(client.ask(f"n{number}.enforcer.test") for number in range(30))
            )
            assert {reply[3] & 0xF for reply in replies} == {3}
            assert client.ignored() == {}

    run(scenario())


@pytest.mark.parametrize("transport", Transport)
def test_an_answer_too_large_for_udp_is_whole(run, unbound, transport):
    upstreams, options = unbound

    async def scenario():
        async with Client(upstreams[transport], options=options) as client:
            asked = typed(BIG, dns.rdatatype.TXT, edns=Edns(1232, do=True))
            reply = dns.message.from_wire(await client.forwarder.ask(asked))
            assert len(reply.answer[0]) == 40
            assert not reply.flags & dns.flags.TC
            assert reply.ednsflags & dns.flags.DO

    run(scenario())


def test_ad_and_cd_are_passed_on(run, unbound):
    upstreams, options = unbound

    async def scenario():
        async with Client(upstreams[Transport.UDP], options=options) as client:
            asked = query("www.enforcer.test", flags=0x0110)
            reply = dns.message.from_wire(await client.forwarder.ask(asked))
            assert reply.flags & dns.flags.CD

    run(scenario())


def test_dnsmasq_answers_and_keeps_the_case_of_letters(run, dnsmasq):
    async def scenario():
        async with Client(dnsmasq) as client:
            for _ in range(10):
                reply = dns.message.from_wire(await client.ask("www.enforcer.test"))
                assert [str(record) for record in reply.answer[0]] == ["192.0.2.1"]
            assert client.ignored() == {}

    run(scenario())


def test_names_go_to_the_upstream_of_their_suffix(run, unbound, dnsmasq):
    upstreams, options = unbound

    async def scenario():
        forward = [(("enforcer.test",), (upstreams[Transport.TLS],))]
        async with Client(dnsmasq, forward=forward, options=options) as client:
            asked = typed("www.enforcer.test", dns.rdatatype.AAAA)
            reply = dns.message.from_wire(await client.forwarder.ask(asked))
            assert [str(record) for record in reply.answer[0]] == ["2001:db8::1"]

    run(scenario())


def test_when_unbound_is_dead_dnsmasq_is_asked(run, dnsmasq):
    async def scenario():
        [port] = free_ports(1)
        async with Client(Upstream(HOST, port), dnsmasq) as client:
            for _ in range(5):
                assert await client.ask("www.enforcer.test")

    run(scenario())
