"""Sockets on loopback: UDP and TCP on one port, or an error that leaves nothing open."""

import contextlib
import socket

import pytest

from enforcer.dns.serving.sockets import SharePort, bind_both, bind_socket
from enforcer.settings.endpoint import Endpoint

LOOPBACK = ["127.0.0.1", "::1"]
KINDS = [socket.SOCK_DGRAM, socket.SOCK_STREAM]


@contextlib.contextmanager
def both(endpoint, share=SharePort.NO):
    udp, tcp = bind_both(endpoint, share)
    with udp, tcp:
        yield udp, tcp


@pytest.mark.parametrize("host", LOOPBACK)
def test_any_port_is_one_that_both_have(host):
    with both(Endpoint(host, 0)) as (udp, tcp):
        assert udp.getsockname()[:2] == tcp.getsockname()[:2]
        assert udp.getsockname()[0] == host
        assert not udp.getblocking()
        assert not tcp.getblocking()


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_port_that_is_given_is_the_port(host):
    with both(Endpoint(host, 0)) as (udp, _):
        port = udp.getsockname()[1]
    with both(Endpoint(host, port)) as (udp, tcp):
        assert udp.getsockname()[1] == tcp.getsockname()[1] == port


@pytest.mark.parametrize(("taken", "other"), [KINDS, KINDS[::-1]])
def test_a_port_that_one_of_the_two_lacks_is_an_error_and_the_other_is_free(taken, other):
    with bind_socket(Endpoint("127.0.0.1", 0), taken) as stranger:
        if taken == socket.SOCK_STREAM:
            stranger.listen()
        endpoint = Endpoint(*stranger.getsockname())
        with pytest.raises(OSError, match="in use"):
            bind_both(endpoint)
        bind_socket(endpoint, other).close()


def test_any_port_goes_round_those_that_are_taken_for_tcp(monkeypatch):
    """The kernel gives UDP a port without a look at TCP's: here the first three are taken."""
    tried = []
    bind = socket.socket.bind

    def busy(self, address):
        if self.type == socket.SOCK_STREAM:
            tried.append(address)
            if len(tried) <= 3:
                raise OSError("in use")
        bind(self, address)

    monkeypatch.setattr(socket.socket, "bind", busy)
    with both(Endpoint("127.0.0.1", 0)) as (udp, tcp):
        assert udp.getsockname() == tcp.getsockname()
    assert len(tried) == 4


def test_any_port_is_given_up_in_the_end(monkeypatch):
    bind = socket.socket.bind

    def busy(self, address):
        if self.type == socket.SOCK_STREAM:
            raise OSError("in use")
        bind(self, address)

    monkeypatch.setattr(socket.socket, "bind", busy)
    with pytest.raises(OSError, match="in use"):
        bind_both(Endpoint("127.0.0.1", 0))


def test_both_wildcards_may_have_one_port():
    with both(Endpoint("0.0.0.0", 0)) as (udp, _), both(Endpoint("::", udp.getsockname()[1])):
        pass


def test_an_address_that_is_not_here_is_an_error():
    with pytest.raises(OSError, match="assign"):
        bind_both(Endpoint("192.0.2.1", 0))


def test_those_who_join_share_the_port_of_the_first():
    with both(Endpoint("127.0.0.1", 0), SharePort.FIRST) as (udp, _):
        endpoint = Endpoint(*udp.getsockname())
        with both(endpoint, SharePort.JOIN) as (joined, _), both(endpoint, SharePort.JOIN):
            assert joined.getsockname() == udp.getsockname()


@pytest.mark.parametrize("share", [SharePort.NO, SharePort.FIRST])
def test_nobody_shares_a_port_unasked(share):
    with both(Endpoint("127.0.0.1", 0), SharePort.FIRST) as (udp, _):
        endpoint = Endpoint(*udp.getsockname())
        with pytest.raises(OSError, match="in use"):
            bind_both(endpoint, share)
