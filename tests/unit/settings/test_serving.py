"""Who may ask, over what and how much, as the settings write it."""

from ipaddress import ip_network

import pytest

from enforcer.policy.source import PolicyError
from enforcer.settings.load import load_settings


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "enforcer.yaml"
        path.write_text(text, encoding="utf-8")
        return load_settings(path)

    return load


def problem_of(load, text):
    with pytest.raises(PolicyError) as caught:
        load(text)
    (problem,) = caught.value.problems
    return problem


def test_private_clients_may_ask_when_nothing_is_written(load):
    dns = load("").dns
    assert ip_network("10.0.0.0/8") in dns.allow_from
    assert ip_network("100.64.0.0/10") in dns.allow_from
    assert ip_network("fc00::/7") in dns.allow_from
    assert not any(network.prefixlen == 0 for network in dns.allow_from)
    assert dns.proxy_protocol_from == ()
    assert dns.rate_limit_per_second == 0
    assert load("").listen.dot == ()


def test_a_range_may_be_one_address(load):
    dns = load("dns: {allow_from: [192.0.2.9, '2001:db8::/32'], proxy_protocol_from: ['::1']}").dns
    assert dns.allow_from == (ip_network("192.0.2.9/32"), ip_network("2001:db8::/32"))
    assert dns.proxy_protocol_from == (ip_network("::1/128"),)


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        ("dns:\n  allow_from: [10.1.0.0/8]\n", "dns.allow_from[0]", "write 10.0.0.0/8"),
        ("dns:\n  allow_from: [desks]\n", "dns.allow_from[0]", "write an address or a range"),
        ("dns:\n  allow_from: 10.0.0.0/8\n", "dns.allow_from", "write [10.0.0.0/8]"),
        ("dns:\n  rate_limit_per_second: -1\n", "dns.rate_limit_per_second", ""),
        ("dns:\n  dot: {certificate: c.pem}\n", "dns.dot.key", ""),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_a_remedy(load, text, key, remedy):
    problem = problem_of(load, text)
    assert (problem.source.line, problem.key) == (2, key)
    assert remedy in str(problem)


def test_dns_over_tls_needs_a_certificate(load):
    problem = problem_of(load, "listen:\n  dot: ['127.0.0.1:0']\n")
    assert (problem.source.line, problem.key) == (2, "listen.dot")
    assert problem.problem == "DNS over TLS needs a certificate"


def test_certificate_and_key_are_relative_to_the_file_and_must_be_there(load, tmp_path):
    (tmp_path / "c.pem").touch()
    text = "dns:\n  dot:\n    certificate: c.pem\n    key: k.pem\n"
    problem = problem_of(load, text)
    assert (problem.source.line, problem.key) == (4, "dns.dot.key")
    assert "k.pem cannot be read: No such file or directory" in problem.problem
    (tmp_path / "k.pem").touch()
    dot = load(text).dns.dot
    assert (dot.certificate, dot.key) == (tmp_path / "c.pem", tmp_path / "k.pem")
