"""Where a gateway listens, stores and asks; and what it takes when nothing is written."""

from pathlib import Path

import pki
import pytest

from enforcer.policy.source import PolicyError
from enforcer.settings.endpoint import Endpoint
from enforcer.settings.load import (
    default_settings,
    load_settings,
    render_settings_schema,
    system_upstreams,
)
from enforcer.settings.upstream import Transport, Upstream

FORWARD = "{{suffixes: ['{}'], upstreams: ['::1']}}"


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "enforcer.yaml"
        path.write_text(text, encoding="utf-8")
        return load_settings(path)

    return load


@pytest.fixture(autouse=True)
def no_state_directory(monkeypatch):
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")


def test_the_defaults_need_no_privilege():
    listen = default_settings().listen
    assert listen.dns == (Endpoint("127.0.0.1", 5053),)
    assert listen.proxy == (Endpoint("127.0.0.1", 8080),)
    assert listen.tls == (Endpoint("127.0.0.1", 8443),)
    assert listen.admin == Endpoint("127.0.0.1", 9053)


def test_an_empty_file_says_nothing_else_than_no_file(load):
    assert load("") == default_settings()


def test_paths_are_relative_to_the_file(load, tmp_path):
    (tmp_path / "mine.yaml").touch()
    settings = load("policy: mine.yaml\naudit: {path: sub/audit.db}\n")
    assert settings.policy == tmp_path / "mine.yaml"
    assert settings.audit.path == tmp_path / "sub/audit.db"
    assert load("audit: {path: /var/lib/enforcer/audit.db}").audit.path == Path(
        "/var/lib/enforcer/audit.db"
    )


def test_a_home_is_written_as_a_shell_has_it(load, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "home.yaml").touch()
    assert load("policy: ~/home.yaml").policy == tmp_path / "home.yaml"


def test_a_policy_that_is_not_there_is_a_fault_of_the_line_that_names_it(load, tmp_path):
    text = "drain_seconds: 1\npolicy: nope.yaml\n"
    with pytest.raises(PolicyError) as caught:
        load(text)
    assert str(caught.value) == (
        f"{tmp_path}/enforcer.yaml:2: policy: {tmp_path}/nope.yaml cannot be read: "
        "No such file or directory; correct the path, or the file's permissions"
    )
    # Whoever only reads the record does not need it.
    assert load_settings(tmp_path / "enforcer.yaml", needs_policy=False).policy


def test_an_address_is_listened_on_once(load):
    with pytest.raises(PolicyError) as caught:
        load(
            "listen:\n"
            "  dns: ['127.0.0.1:53', '127.0.0.1:53']\n"
            "  proxy: ['127.0.0.1:8443']\n"
            "  admin: 127.0.0.1:0\n"
        )
    told = [(p.source.line, p.key, p.problem) for p in caught.value.problems]
    assert told == [
        (2, "listen.dns[1]", "127.0.0.1:53 is taken already, by listen.dns[0]"),
        (1, "listen.tls[0]", "127.0.0.1:8443 is taken already, by listen.proxy[0]"),
    ]
    assert load("listen: {dns: ['127.0.0.1:0', '127.0.0.1:0'], proxy: ['[::1]:5053']}")


def test_the_audit_trail_goes_where_this_user_may_write(monkeypatch, load):
    monkeypatch.setenv("STATE_DIRECTORY", "/state")
    assert load("drain_seconds: 1\n").audit.path == Path("/state/audit.db")
    assert default_settings().audit.path == Path("/state/audit.db")


@pytest.mark.parametrize(
    ("text", "line", "key", "remedy"),
    [
        ("listen:\n  dsn: []\n", 2, "listen.dsn", "did you mean dns?"),
        ("mode: enforce\n", 1, "mode", "did you mean"),
        ("listen:\n  dns: 127.0.0.1:53\n", 2, "listen.dns", "write [127.0.0.1:53]"),
        ("listen:\n  dns:\n  - localhost:53\n", 3, "listen.dns[0]", "write it as 192.0.2.1:53"),
        ("dns: {upstreams: ['192.0.2.1:0']}\n", 1, "dns.upstreams[0]", "write 53"),
        ("dns:\n  upstreams:\n  - tls://192.0.2.1\n", 3, "dns.upstreams[0]", "add it after a #"),
        ("dns: {upstreams: 192.0.2.1}\n", 1, "dns.upstreams", "write [192.0.2.1]"),
        ("dns:\n  forward:\n  - suffixes: [a]\n", 3, "dns.forward[0].upstreams", "add upstreams"),
        (
            "dns:\n  forward:\n  - {suffixes: [], upstreams: [192.0.2.1]}\n",
            3,
            "dns.forward[0].suffixes",
            "give it an entry",
        ),
        (
            "dns:\n  forward:\n  - {suffixes: [a b], upstreams: [192.0.2.1]}\n",
            3,
            "dns.forward[0].suffixes[0]",
            "use letters",
        ),
        (
            f"dns: {{forward: [{FORWARD.format('a')},\n{FORWARD.format('*.A.')}]}}",
            2,
            "dns.forward[1].suffixes[0]",
            "keep one of the two",
        ),
        ("dns:\n  upstream_ca_file: nope.pem\n", 2, "dns.upstream_ca_file", "correct the path"),
        ("dns:\n  upstream_ca_file: /etc/hosts\n", 2, "dns.upstream_ca_file", "in PEM"),
        ("dns: {randomise_case: maybe}\n", 1, "dns.randomise_case", "write true or false"),
        ("dns:\n  timeout_ms: 1\n", 2, "dns.timeout_ms", "correct it"),
        ("drain_seconds: soon\n", 1, "drain_seconds", "write a number"),
        ("audit: {path: ~nobody-here/x}\n", 1, "audit.path", "write it in full"),
        ("- 1\n", 1, "", "the keys here are"),
    ],
)
def test_a_fault_names_line_key_and_remedy(load, text, line, key, remedy):
    with pytest.raises(PolicyError) as caught:
        load(text)
    [problem] = caught.value.problems
    assert (problem.source.line, problem.key) == (line, key)
    assert remedy in problem.remedy or key == "mode"


def test_a_file_that_is_not_there_is_a_policy_error(tmp_path):
    with pytest.raises(PolicyError, match="cannot be read"):
        load_settings(tmp_path / "nowhere.yaml")


def test_upstreams_are_those_of_the_system_when_none_are_given(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# nameserver 192.0.2.9\nsearch example.com\nnameserver 192.0.2.1\n"
        "nameserver fe80::1%eth0\nnameserver nonsense\nnameserver\n\xff\n",
        encoding="latin-1",
    )
    assert system_upstreams(path) == (Upstream("192.0.2.1"), Upstream("fe80::1%eth0"))
    assert system_upstreams(tmp_path / "nowhere") == ()


def test_names_may_have_upstreams_of_their_own(load):
    dns = load(
        "dns:\n  upstreams: [192.0.2.1, 'tls://192.0.2.2#Dns.Example']\n"
        "  forward:\n  - {suffixes: [Corp.Example, 10.in-addr.arpa], upstreams: [192.0.2.3:5353]}\n"
    ).dns
    assert dns.upstreams == (
        Upstream("192.0.2.1"),
        Upstream("192.0.2.2", 853, Transport.TLS, "dns.example"),
    )
    [entry] = dns.forward
    assert entry.suffixes == ("corp.example", "10.in-addr.arpa")
    assert entry.upstreams == (Upstream("192.0.2.3", 5353),)


def test_roots_for_upstreams_are_relative_to_the_file_too(load, tmp_path):
    (tmp_path / "roots.pem").write_bytes(pki.letsencrypt_like().root_pem)
    assert load("dns: {upstream_ca_file: roots.pem}").dns.upstream_ca_file == tmp_path / "roots.pem"


def test_the_schema_shows_defaults_as_a_person_writes_them():
    schema = render_settings_schema()
    assert schema["$schema"].startswith("https://json-schema.org/")
    listen = schema["$defs"]["ListenSettings"]["properties"]
    assert listen["dns"]["default"] == ["127.0.0.1:5053"]
    assert listen["admin"] == {
        "default": "127.0.0.1:9053",
        "description": "/metrics, /healthz and /readyz.",
        "title": "Admin",
        "type": "string",
    }
    assert "default" not in schema["$defs"]["AuditSettings"]["properties"]["path"]
