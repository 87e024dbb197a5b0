"""Unit tests touch no network, so that they are quick and mean the same everywhere."""

import socket

import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fails a test that makes an IP socket. asyncio's own socketpair is a Unix socket."""
    make = socket.socket.__init__

    def guarded(self, family=-1, type=-1, proto=-1, fileno=None):  # noqa: A002 socket's own name
        # Without a family the default is AF_INET; with a file number it is not a new socket.
        if fileno is None and family in {-1, socket.AF_INET, socket.AF_INET6}:
            pytest.fail("a unit test opens a network socket; make it an integration test")
        make(self, family, type, proto, fileno)

    monkeypatch.setattr(socket.socket, "__init__", guarded)
