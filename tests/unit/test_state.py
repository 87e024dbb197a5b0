"""Where state is kept when nobody says where."""

from pathlib import Path

import pytest

from enforcer.state import SYSTEM_STATE, default_audit_path


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({}, "/home/someone/.local/state/enforcer/audit.db"),
        ({"XDG_STATE_HOME": "/state"}, "/state/enforcer/audit.db"),
        ({"XDG_STATE_HOME": "state"}, "/home/someone/.local/state/enforcer/audit.db"),
        ({"STATE_DIRECTORY": "/var/lib/enforcer"}, "/var/lib/enforcer/audit.db"),
        ({"STATE_DIRECTORY": "/a:/b", "XDG_STATE_HOME": "/state"}, "/a/audit.db"),
    ],
)
def test_the_audit_trail_goes_where_this_user_may_write(monkeypatch, environment, path):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_audit_path() == Path(path)


def test_user_without_a_home_keeps_it_with_the_system(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert default_audit_path() == SYSTEM_STATE / "audit.db"
