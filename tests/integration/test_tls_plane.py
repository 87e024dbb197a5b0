"""The gate and the proxy as the service wires them: opened, asked, and ended."""

import asyncio
import time

import pytest
from integration.dns_harness import BLOCKED, POLICY
from integration.gate_harness import Answer

from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.gateway import TlsSettings
from enforcer.tls_plane import TlsPlane


async def nowhere(_name, _client):
    return Answer()


class Site:
    """A plane whose names lead nowhere, with what it recorded."""

    def __init__(self, policy):
        self.events = []
        self.metrics = Metrics()
        self.listening = {}
        self.plane = TlsPlane(
            TlsSettings(),
            PolicyHolder(policy),
            self.events.append,
            self.metrics,
            time.time,
            nowhere,
            self.listening,
        )

    async def __aenter__(self):
        await self.plane.start()
        self.explicit = await self.plane.gate.listen_explicit(Endpoint("127.0.0.1", 0))
        self.listening["proxy"] = [self.explicit]
        return self

    async def __aexit__(self, *_):
        await self.plane.drain(1)

    async def connect(self, target):
        reader, writer = await asyncio.open_connection(*self.explicit)
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        try:
            return (await reader.read()).decode()
        finally:
            writer.close()


async def test_a_blocked_name_is_refused_and_on_record(policy_from):
    async with Site(policy_from(POLICY)) as site:
        answer = await site.connect(f"{BLOCKED}:443")
        assert answer.startswith("HTTP/1.1 403 ")
        assert "use connect.example.com:443" in answer
    assert [(event.plane, event.name, event.action) for event in site.events] == [
        ("connect", BLOCKED, "block")
    ]


async def test_a_name_that_leads_nowhere_cannot_be_reached(policy_from):
    async with Site(policy_from(POLICY)) as site:
        assert (await site.connect("www.example.org:443")).startswith("HTTP/1.1 502 ")


async def test_what_listens_is_no_destination(policy_from):
    """The list of listeners is the service's: what is bound later counts as well."""
    async with Site(policy_from(POLICY)) as site:
        here = f"127.0.0.1:{site.explicit.port}"
        assert (await site.connect(here)).startswith("HTTP/1.1 403 ")


async def test_after_the_end_nobody_listens(policy_from):
    async with Site(policy_from(POLICY)) as site:
        pass
    with pytest.raises(ConnectionRefusedError):
        await site.connect(f"{BLOCKED}:443")
