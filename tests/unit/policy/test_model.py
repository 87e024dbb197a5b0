"""The nouns, where they say something of their own."""

from ipaddress import ip_network

import pytest

from enforcer.policy.model import (
    Action,
    ConnectUrl,
    Issuer,
    Match,
    Mode,
    PortRange,
    Source,
    Verdict,
)

URL = ConnectUrl("connect.example.com", 443, Issuer("ngrok"), (), (), Source("p.yaml", 7))


def verdict(action, connect_url=None):
    return Verdict(
        action, "r", "because", Source("p.yaml", 3), Mode.ENFORCE, connect_url=connect_url
    )


@pytest.mark.parametrize(
    ("action", "blocks", "recorded"),
    [(Action.ALLOW, False, False), (Action.BLOCK, True, True), (Action.MONITOR, False, True)],
)
def test_all_but_a_plain_allow_is_on_record(action, blocks, recorded):
    assert verdict(action).blocks is blocks
    assert verdict(action).recorded is recorded


def test_what_touches_a_connect_url_is_on_record():
    assert verdict(Action.ALLOW, URL).recorded


def test_a_refusal_says_which_connect_url_to_use():
    told = verdict(Action.BLOCK).explain("connect.example.com:443")
    assert told == "blocked by rule r: because; use connect.example.com:443"
    assert verdict(Action.BLOCK).explain("") == "blocked by rule r: because"


def test_a_refused_connect_url_does_not_advise_itself():
    assert "; use" not in verdict(Action.BLOCK, URL).explain("connect.example.com:443")


def test_sources_and_connect_urls_read_as_people_write_them():
    assert str(Source("p.yaml", 3)) == "p.yaml:3"
    assert str(URL) == "connect.example.com:443"


@pytest.mark.parametrize("part", ["names", "suffixes", "patterns"])
def test_a_match_knows_whether_it_is_about_names(part):
    assert Match(**{part: ("x",)}).has_name
    assert not Match(ports=(PortRange(1, 2),), clients=(ip_network("10.0.0.0/8"),)).has_name
