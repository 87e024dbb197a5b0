import contextlib

import pytest

from enforcer.metrics import Metrics
from enforcer.policy.addresses import parse_address
from enforcer.policy.decide import decide
from enforcer.policy.model import CertificateCheck, CertificateFact, Plane, Protocol, Request
from enforcer.proxy import entrances
from enforcer.proxy.inquiry import Denied, Inquiry
from enforcer.tls.first_bytes import AlertDescription

URL = "connect.example.com"
BLOCKED = "connect.ngrok-agent.com"
POLICY = f"""
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls: [{{host: {URL}, issuer: ngrok}}]
"""
CLIENT, ADDRESS = parse_address("10.0.0.7"), parse_address("203.0.113.9")


class Verifier:
    """Says the same of every address but those in ``at``."""

    def __init__(self, check):
        self.check = check
        self.at = {}
        self.asked = []

    async def verify(self, url, address, port, host):
        self.asked.append((str(url), address, port, host))
        check = self.at.get(address, self.check)
        return CertificateFact(check, f"it is {check}")


class Asked:
    def __init__(self, policy, check=CertificateCheck.ACCEPTED):
        self.policy = policy
        self.events, self.metrics, self.verifier = [], Metrics(), Verifier(check)
        self.inquiry = Inquiry(policy, self.events.append, self.metrics, self.verifier)

    def counted(self, action):
        return self.metrics.tls_connections.cell(action, "connect").value


@pytest.fixture
def asked(policy_from):
    return Asked(policy_from(POLICY))


def request(name, address=ADDRESS, protocol=Protocol.TLS):
    return Request(Plane.CONNECT, name, address, 443, CLIENT, protocol)


async def test_a_connect_url_is_let_through_when_its_certificate_is_accepted(asked):
    verdict = await asked.inquiry.admit(request(URL))
    assert not verdict.blocks
    assert asked.verifier.asked == [(f"{URL}:443", ADDRESS, 443, URL)]
    asked.inquiry.conclude()
    assert [(event.name, event.action) for event in asked.events] == [(URL, "allow")]


async def test_a_refused_certificate_is_a_refusal_of_its_own_kind(policy_from):
    asked = Asked(policy_from(POLICY), CertificateCheck.REFUSED)
    with pytest.raises(Denied, match="it is refused") as denied:
        await asked.inquiry.admit(request(URL))
    assert denied.value.error is entrances.CERTIFICATE_REFUSED
    assert denied.value.alert is AlertDescription.ACCESS_DENIED


async def test_a_blocked_name_is_denied_with_what_to_use_instead(asked):
    with pytest.raises(Denied, match=f"use {URL}:443") as denied:
        await asked.inquiry.admit(request(BLOCKED))
    assert denied.value.error is entrances.DENIED
    assert denied.value.alert is AlertDescription.UNRECOGNIZED_NAME
    assert not asked.verifier.asked


async def test_nothing_is_verified_while_the_address_is_unknown(asked):
    await asked.inquiry.admit(request(URL, address=None))
    assert not asked.verifier.asked


async def test_a_name_is_on_record_once_with_its_last_answer(asked):
    asked.inquiry.judge(request(URL, address=None, protocol=None))
    await asked.inquiry.admit(request(URL, protocol=None))
    await asked.inquiry.admit(request(URL))
    with pytest.raises(Denied):
        asked.inquiry.judge(request(BLOCKED))
    asked.inquiry.conclude()
    asked.inquiry.conclude()
    assert [(event.name, event.address) for event in asked.events] == [
        (URL, str(ADDRESS)),
        (BLOCKED, str(ADDRESS)),
    ]
    # One connection, counted as the worst of what was said of it.
    assert asked.counted("block") == 1
    assert asked.counted("allow") == 0


@pytest.mark.parametrize(("mode", "recorded"), [("enforce", "block"), ("monitor", "monitor")])
async def test_an_impostor_stays_on_record_when_another_address_is_accepted(
    policy_from, mode, recorded
):
    asked = Asked(policy_from(f"mode: {mode}{POLICY}"))
    impostors = [parse_address("203.0.113.66"), parse_address("203.0.113.67")]
    asked.verifier.at = dict.fromkeys(impostors, CertificateCheck.REFUSED)
    asked.inquiry.judge(request(URL, address=None, protocol=None))
    for impostor in impostors:
        with contextlib.nullcontext() if mode == "monitor" else pytest.raises(Denied):
            await asked.inquiry.admit(request(URL, impostor, protocol=None))
    await asked.inquiry.admit(request(URL, protocol=None))
    await asked.inquiry.admit(request(URL))
    asked.inquiry.conclude()
    asked.inquiry.conclude()
    assert [(event.address, event.action) for event in asked.events] == [
        *((str(impostor), recorded) for impostor in impostors),
        (str(ADDRESS), "allow"),
    ]
    # The connection was let through, once.
    assert (asked.counted("allow"), asked.counted(recorded)) == (1, 0)


async def test_a_lookup_that_is_blocked_is_denied_by_its_verdict(asked):
    with pytest.raises(Denied) as cause:
        asked.inquiry.judge(request(BLOCKED))

    class Answer:
        addresses = ()
        verdict = cause.value.verdict

    async def resolve(name, client):
        assert (name, client) == ("alias.example.net", CLIENT)
        return Answer

    with pytest.raises(Denied) as denied:
        await asked.inquiry.look_up(resolve, request("alias.example.net"))
    assert denied.value.verdict.rule == "ngrok-connect"


async def test_a_lookup_that_is_watched_is_on_record_and_passes(policy_from):
    asked = Asked(policy_from(f"mode: monitor{POLICY}"))
    cloaked = "alias.example.net"

    class Answer:
        addresses = (ADDRESS,)
        verdict = decide(asked.policy, request(BLOCKED))

    async def resolve(name, client):
        return Answer

    asked.inquiry.judge(request(cloaked, address=None))
    assert await asked.inquiry.look_up(resolve, request(cloaked, address=None)) == (ADDRESS,)
    await asked.inquiry.admit(request(cloaked))
    asked.inquiry.conclude()
    assert [(event.name, event.rule, event.action) for event in asked.events] == [
        (cloaked, "ngrok-connect", "monitor")
    ]
    assert (asked.counted("monitor"), asked.counted("allow")) == (1, 0)


async def test_what_the_connection_says_again_of_a_lookup_is_on_record_once(policy_from):
    rule = f"rules: [{{id: net, action: monitor, match: {{addresses: [{ADDRESS}/32]}}}}]"
    asked = Asked(policy_from(f"{POLICY}{rule}"))

    class Answer:
        addresses = (ADDRESS,)
        verdict = decide(asked.policy, request("www.example.net"))

    async def resolve(name, client):
        return Answer

    await asked.inquiry.look_up(resolve, request("www.example.net", address=None))
    await asked.inquiry.admit(request("www.example.net"))
    asked.inquiry.conclude()
    assert [(event.address, event.rule) for event in asked.events] == [(str(ADDRESS), "net")]


async def test_what_is_for_the_gateway_itself_is_refused_and_on_record_by_a_rule(asked):
    with pytest.raises(Denied, match=f"{ADDRESS} is for the gateway itself") as denied:
        asked.inquiry.protect_gateway(request("any.test"))
    assert denied.value.error is entrances.PROHIBITED
    assert "use" not in str(denied.value)
    asked.inquiry.conclude()
    (event,) = asked.events
    assert (event.rule, event.action, event.source) == ("gateway-address", "block", "built in")
