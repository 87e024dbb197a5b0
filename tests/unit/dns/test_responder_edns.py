"""Cookies as a responder answers them, and ANY as RFC 8482 does."""

from ipaddress import ip_address

import dns.edns
import dns.message
import dns.rcode
import pytest

from enforcer.dns.ask import TCP, UDP, Ask, Asker
from enforcer.dns.packets.cookies import Cookies
from enforcer.dns.responder import Responder, build_shared
from enforcer.metrics import Metrics
from enforcer.policy.holder import PolicyHolder

DESK, OTHER = ip_address("10.8.0.2"), ip_address("10.8.0.3")
BLOCKED = "connect.ngrok-agent.com"
CLIENT_COOKIE = bytes(range(8))
POLICY = """
version: 1
default: allow
include: [packs/ngrok.yaml]
connect_urls: [{host: connect.example.com, issuer: ngrok}]
"""


@pytest.fixture
def ask(policy_from):
    """Asks one responder, of which each test may say more."""
    policy = PolicyHolder(policy_from(POLICY))
    shared = build_shared()._replace(cookies=Cookies(bytes(16)))

    def ask(name=BLOCKED, qtype="A", cookie=None, *, client=DESK, transport=UDP, **settings):
        responder = Responder(policy, lambda _: None, Metrics(), shared._replace(**settings))
        options = [] if cookie is None else [dns.edns.GenericOption(10, cookie)]
        packet = dns.message.make_query(name, qtype, use_edns=0, options=options).to_wire()
        answered = responder.answer(packet, Asker(client, transport), 1000.0)
        return answered if isinstance(answered, Ask) else dns.message.from_wire(answered)

    return ask


def cookie_of(message):
    (cookie,) = (option for option in message.options if option.otype == 10)
    return cookie.to_wire()


def test_a_cookie_is_answered_with_ours_behind_it(ask):
    cookie = cookie_of(ask(cookie=CLIENT_COOKIE))
    assert cookie[:8] == CLIENT_COOKIE
    assert len(cookie) == 24
    assert cookie_of(ask(cookie=cookie)) == cookie


def test_who_sends_none_gets_none(ask):
    assert {option.otype for option in ask().options} == {15}


def test_a_cookie_that_is_not_ours_does_not_matter_by_default(ask):
    assert ask(cookie=bytes(24)).rcode() == dns.rcode.NXDOMAIN


def test_where_cookies_are_required_a_client_learns_one_and_is_answered(ask):
    told = ask(cookie=CLIENT_COOKIE, require_cookies=True)
    assert told.rcode() == dns.rcode.BADCOOKIE
    assert told.question[0].name.to_text() == f"{BLOCKED}."
    learnt = cookie_of(told)
    assert ask(cookie=learnt, require_cookies=True).rcode() == dns.rcode.NXDOMAIN
    assert ask(cookie=learnt, require_cookies=True, client=OTHER).rcode() == dns.rcode.BADCOOKIE


def test_over_tcp_nobody_forges_an_address(ask):
    answer = ask(cookie=CLIENT_COOKIE, require_cookies=True, transport=TCP)
    assert answer.rcode() == dns.rcode.NXDOMAIN


def test_a_client_without_cookies_is_answered_even_so(ask):
    assert ask(require_cookies=True).rcode() == dns.rcode.NXDOMAIN


def test_any_gets_what_there_is_by_default(ask):
    assert isinstance(ask("www.example.net", "ANY"), Ask)


def test_any_may_be_answered_with_next_to_nothing_over_udp(ask):
    message = ask("www.example.net", "ANY", minimal_any=True)
    assert message.answer[0].to_text() == 'www.example.net. 3600 IN HINFO "RFC8482" ""'
    assert isinstance(ask("www.example.net", "ANY", minimal_any=True, transport=TCP), Ask)
    assert isinstance(ask("www.example.net", "A", minimal_any=True), Ask)


def test_any_of_a_blocked_name_is_blocked(ask):
    assert ask(BLOCKED, "ANY", minimal_any=True).rcode() == dns.rcode.NXDOMAIN
