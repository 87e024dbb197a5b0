"""The add-on's options, set and changed while mitmproxy runs. No sockets."""

import contextlib
import sqlite3
import threading

import pytest
from mitmproxy import exceptions
from mitmproxy.test import taddons

from enforcer.policy.model import Mode
from enforcer.proxy.standalone import Enforcer, resolve_by_system


def writers():
    return [thread for thread in threading.enumerate() if thread.name == "audit-writer"]


@pytest.fixture
async def enforcer():
    addon = Enforcer()
    with taddons.context(addon) as context:
        yield addon, context
    addon.done()
    assert not writers()


async def test_the_embedded_default_is_used_without_options(enforcer):
    addon, context = enforcer
    context.configure(addon, enforcer_policy="", enforcer_audit="")
    assert addon.policy.current.policy.connect_urls
    assert not writers()


async def test_a_changed_policy_is_followed_and_a_broken_one_is_not(enforcer, write_policy):
    addon, context = enforcer
    path = write_policy("version: 1\ndefault: block\nmode: monitor\n")
    context.configure(addon, enforcer_policy=str(path))
    assert addon.policy.current.policy.mode is Mode.MONITOR
    other = path.with_name("other.yaml")
    other.write_text("version: 1\n")
    with pytest.raises(exceptions.OptionsError, match=r"other.yaml:1: default: "):
        context.configure(addon, enforcer_policy=str(other))
    assert addon.policy.current.policy.mode is Mode.MONITOR


async def test_one_store_is_open_at_a_time(enforcer, tmp_path):
    addon, context = enforcer
    for name in ("first.db", "second.db"):
        context.configure(addon, enforcer_audit=str(tmp_path / name))
        assert len(writers()) == 1
    with contextlib.closing(sqlite3.connect(tmp_path / "second.db")) as store:
        assert store.execute("SELECT count(*) FROM event").fetchone() == (0,)
    context.configure(addon, enforcer_audit="")
    assert not writers()


async def test_a_store_that_cannot_be_opened_leaves_the_one_before(enforcer, tmp_path):
    addon, context = enforcer
    context.configure(addon, enforcer_audit=str(tmp_path / "good.db"))
    with pytest.raises(exceptions.OptionsError):
        context.configure(addon, enforcer_audit=str(tmp_path))
    assert len(writers()) == 1


async def test_a_name_that_cannot_be_looked_up_has_no_address():
    assert (await resolve_by_system("a" * 64 + ".invalid", None)).addresses == ()
