"""``dns.transfers`` in a settings file."""

import pytest

from enforcer.policy.source import PolicyError
from enforcer.settings.load import load_settings

SETTINGS = """
dns:
  transfers:
    - zone: RPZ.Example.
      primary: {primary}
      file: zones/feed.rpz
      tsig: {{name: feed.key, secret_file: feed.secret{more}}}
"""


@pytest.fixture
def settings_from(tmp_path):
    def load(primary="192.0.2.1", more="", *, secret="c2VjcmV0"):
        if secret:
            (tmp_path / "feed.secret").write_text(secret)
        path = tmp_path / "enforcer.yaml"
        path.write_text(SETTINGS.format(primary=primary, more=more))
        return load_settings(path)

    return load


def test_names_are_folded_and_paths_are_beside_the_settings(settings_from, tmp_path):
    (transfer,) = settings_from().dns.transfers

    assert transfer.zone == "rpz.example"
    assert transfer.primary == ("192.0.2.1", 53)
    assert transfer.file == tmp_path / "zones" / "feed.rpz"
    assert transfer.tsig.secret_file == tmp_path / "feed.secret"
    assert transfer.tsig.algorithm == "hmac-sha256"


def test_a_primary_may_have_a_port(settings_from):
    (transfer,) = settings_from('"[2001:db8::1]:5353"').dns.transfers

    assert transfer.primary == ("2001:db8::1", 5353)


@pytest.mark.parametrize(
    ("options", "key", "problem"),
    [
        ({"primary": "ns.example"}, "dns.transfers[0].primary", "is not an address"),
        ({"primary": "192.0.2.1:0"}, "dns.transfers[0].primary", "port 0"),
        ({"more": ", algorithm: hmac-md5"}, "dns.transfers[0].tsig.algorithm", "not known here"),
        ({"secret": ""}, "dns.transfers[0].tsig.secret_file", "cannot be read"),
    ],
)
def test_what_cannot_work_is_told_with_its_key(settings_from, options, key, problem):
    with pytest.raises(PolicyError) as refused:
        settings_from(**options)

    (found,) = refused.value.problems
    assert found.key == key
    assert problem in found.problem
