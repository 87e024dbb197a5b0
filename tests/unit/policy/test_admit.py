"""What a file goes through before a plane may see it."""

import pytest

from enforcer.policy.admit import admit, admit_policy
from enforcer.policy.load import load_policy
from enforcer.policy.source import PolicyError


def test_the_embedded_default_is_admitted():
    policy = admit_policy()
    assert policy.policy.digest == load_policy().digest


def test_warnings_are_on_the_result_and_errors_are_raised(write_policy):
    url = "connect_urls: [{host: connect.example.com, issuer: ngrok}]\n"
    path = write_policy("version: 1\ndefault: allow\n" + url)
    assert len(admit(load_policy(path)).warnings) == 1
    path = write_policy("version: 1\ndefault: block\n" + url)
    with pytest.raises(PolicyError, match="revocation list"):
        admit(load_policy(path))
