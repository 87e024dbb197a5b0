"""What a person is told when the gateway is up."""

import shlex

import pytest

from enforcer.banner import render_banner
from enforcer.policy.admit import admit_policy
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.load import default_settings

LISTENING = {
    "dns": [Endpoint("127.0.0.1", 5053)],
    "proxy": [Endpoint("127.0.0.1", 8080)],
    "tls": [Endpoint("127.0.0.1", 8443)],
    "admin": [Endpoint("127.0.0.1", 9053)],
}
UPSTREAMS = (Endpoint("192.0.2.53", 53),)


@pytest.fixture(scope="module")
def policy():
    return admit_policy()


def banner(policy, listening=LISTENING, upstreams=UPSTREAMS):
    return render_banner(listening, policy, upstreams, default_settings())


def pasted(text):
    """The commands, as a shell would split them."""
    lines = text.splitlines()
    return [shlex.split(line) for line in lines if line.startswith(("  dig", "  curl"))]


def test_it_says_what_listens_where(policy):
    text = banner(policy)

    for endpoint in ("127.0.0.1:5053", "127.0.0.1:8080", "127.0.0.1:8443", "127.0.0.1:9053"):
        assert endpoint in text


def test_it_names_the_policy_and_the_connect_url(policy):
    text = banner(policy)

    assert policy.policy.source.file in text
    assert policy.policy.digest in text
    assert "enforce mode" in text
    assert "agents to connect.example.com:443" in text


def test_without_upstreams_it_says_what_that_means(policy):
    assert "none: only blocked names are answered" in banner(policy, upstreams=())


def test_three_commands_can_be_pasted(policy):
    assert pasted(banner(policy)) == [
        ["dig", "@127.0.0.1", "-p", "5053", "connect.ngrok-agent.com"],
        ["curl", "-v", "--proxy", "http://127.0.0.1:8080", "https://connect.ngrok-agent.com/"],
        ["curl", "http://127.0.0.1:9053/metrics"],
    ]


def test_commands_go_to_loopback_where_it_listens_everywhere(policy):
    listening = LISTENING | {
        "dns": [Endpoint("0.0.0.0", 53)],
        "proxy": [Endpoint("::", 8080)],
    }
    dig, proxy, _ = pasted(banner(policy, listening))

    assert dig[1] == "@127.0.0.1"
    assert proxy[3] == "http://[::1]:8080"


def test_an_ipv6_url_is_quoted_for_shells_that_take_brackets_for_a_pattern(policy):
    listening = LISTENING | {"admin": [Endpoint("::1", 9053)]}

    assert "curl 'http://[::1]:9053/metrics'" in banner(policy, listening)


def test_a_plane_that_does_not_listen_has_no_command(policy):
    commands = pasted(banner(policy, LISTENING | {"dns": []}))

    assert [command[0] for command in commands] == ["curl", "curl"]
