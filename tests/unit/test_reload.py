"""Reloads, with the waits cut short. No sockets: files, a holder, metrics."""

import asyncio
import contextlib
import logging
import sys
import weakref

import pytest

from enforcer.metrics import Metrics
from enforcer.policy.admit import admit_policy
from enforcer.policy.decide import decide
from enforcer.policy.holder import PolicyHolder
from enforcer.policy.model import Plane, Request
from enforcer.reload import PolicyReloader

LOOK_S = 0.02
OPEN = "version: 1\ndefault: allow\n"
CLOSED = "version: 1\ndefault: block\n"
BROKEN = "version: 1\ndefault: perhaps\n"
PACK = """\
version: 1
description: one name
rules: [{id: one, action: block, match: {names: [one.example.net]}}]
"""


class Reloading:
    def __init__(self, path, clock):
        self.path = path
        self.metrics = Metrics()
        self.holder = PolicyHolder(admit_policy(path))
        self.reloader = PolicyReloader(
            self.holder, path, self.metrics, clock, look_every_s=LOOK_S, retry_every_s=5 * LOOK_S
        )

    def blocks(self, name="any.example.net"):
        return decide(self.holder.current, Request(Plane.DNS, name)).blocks

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 what is looked at has no event
                await asyncio.sleep(LOOK_S / 2)

    def reloads(self, result):
        return self.metrics.policy_reloads.cell(result).value

    @property
    def successful(self):
        return self.metrics.policy_last_reload_successful.cell().value == 1


@pytest.fixture
def reloading(clock):
    @contextlib.asynccontextmanager
    async def run(path):
        under_way = Reloading(path, clock)
        under_way.reloader.start()
        try:
            yield under_way
        finally:
            await under_way.reloader.stop()

    return run


async def test_a_changed_file_is_loaded(reloading, write_policy):
    path = write_policy(OPEN)
    async with reloading(path) as it:
        assert not it.blocks()
        path.write_text(CLOSED)
        await it.until(it.blocks)
        assert it.reloads("succeeded") == 1
        assert it.metrics.policy_info.cells.keys() == {(it.holder.current.policy.digest, "enforce")}


async def test_an_untouched_file_is_left_alone(reloading, write_policy):
    async with reloading(write_policy(OPEN)) as it:
        await asyncio.sleep(10 * LOOK_S)
        assert it.reloads("succeeded") == it.reloads("failed") == 0


async def test_it_reloads_when_asked_though_nothing_changed(reloading, write_policy):
    async with reloading(write_policy(OPEN)) as it:
        it.reloader.ask()
        await it.until(lambda: it.reloads("succeeded") == 1)


async def test_a_broken_file_keeps_the_old_policy_and_says_where(reloading, write_policy, caplog):
    path = write_policy(CLOSED)
    async with reloading(path) as it:
        with caplog.at_level(logging.ERROR):
            path.write_text(BROKEN)
            await it.until(lambda: not it.successful)
            # It is tried again, and told and counted once.
            await asyncio.sleep(15 * LOOK_S)
        assert it.blocks()
        assert it.reloads("failed") == 1
        [record] = caplog.records
        assert f"{path}:2: default:" in record.getMessage()
        path.write_text(OPEN)
        await it.until(lambda: it.successful)
        assert not it.blocks()


async def test_whoever_asks_is_told_each_time_that_it_is_still_broken(
    reloading, write_policy, caplog
):
    path = write_policy(CLOSED)
    async with reloading(path) as it:
        path.write_text(BROKEN)
        await it.until(lambda: it.reloads("failed") == 1)
        with caplog.at_level(logging.ERROR):
            caplog.clear()
            it.reloader.ask()
            await it.until(lambda: it.reloads("failed") == 2)
        [record] = caplog.records
        assert f"{path}:2: default:" in record.getMessage()


async def test_a_file_replaced_by_renaming_is_loaded_each_time(reloading, write_policy):
    path = write_policy(OPEN)
    async with reloading(path) as it:
        for text in (CLOSED, OPEN, CLOSED):
            new = path.with_suffix(".new")
            new.write_text(text)
            new.replace(path)
            await it.until(lambda text=text: it.blocks() == (text == CLOSED))


async def test_a_file_removed_and_written_again_is_loaded(reloading, write_policy):
    path = write_policy(OPEN)
    async with reloading(path) as it:
        path.unlink()
        await it.until(lambda: not it.successful)
        path.write_text(CLOSED)
        await it.until(it.blocks)


async def test_a_configmaps_swap_of_a_link_is_loaded(reloading, tmp_path):
    """kubelet: policy.yaml -> ..data/policy.yaml, and ..data -> a folder of the moment."""
    for version, text in (("..1", OPEN), ("..2", CLOSED)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "policy.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "policy.yaml").symlink_to("..data/policy.yaml")
    async with reloading(tmp_path / "policy.yaml") as it:
        assert not it.blocks()
        (tmp_path / "..data_tmp").symlink_to("..2")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        await it.until(it.blocks)


async def test_a_changed_pack_is_loaded(reloading, write_policy, tmp_path):
    path = write_policy(OPEN + "include: [packs/mine.yaml]\n", **{"packs/mine.yaml": PACK})
    async with reloading(path) as it:
        assert it.blocks("one.example.net")
        (tmp_path / "packs/mine.yaml").write_text(PACK.replace("one.ex", "two.ex"))
        await it.until(lambda: it.blocks("two.example.net"))


async def test_a_pack_included_later_is_followed_from_then_on(reloading, write_policy, tmp_path):
    path = write_policy(OPEN, **{"packs/mine.yaml": PACK})
    async with reloading(path) as it:
        path.write_text(OPEN + "include: [packs/mine.yaml]\n")
        await it.until(lambda: it.blocks("one.example.net"))
        (tmp_path / "packs/mine.yaml").write_text(PACK.replace("one.ex", "two.ex"))
        await it.until(lambda: it.blocks("two.example.net"))


async def test_a_pack_that_was_missing_is_loaded_when_it_comes(reloading, write_policy, tmp_path):
    path = write_policy(OPEN)
    async with reloading(path) as it:
        path.write_text(OPEN + "include: [late/mine.yaml]\n")
        await it.until(lambda: not it.successful)
        (tmp_path / "late").mkdir()
        (tmp_path / "late/mine.yaml").write_text(PACK)
        await it.until(lambda: it.blocks("one.example.net"))
        assert it.successful


async def test_a_pack_that_was_broken_is_loaded_when_it_is_mended(
    reloading, write_policy, tmp_path
):
    path = write_policy(OPEN, **{"packs/mine.yaml": "version: one\n"})
    async with reloading(path) as it:
        path.write_text(OPEN + "include: [packs/mine.yaml]\n")
        await it.until(lambda: not it.successful)
        (tmp_path / "packs/mine.yaml").write_text(PACK)
        await it.until(lambda: it.blocks("one.example.net"))


async def test_a_file_that_is_still_being_written_is_not_loaded(reloading, write_policy):
    path = write_policy(CLOSED)
    async with reloading(path) as it:
        for number in range(20):
            path.write_text(OPEN + "# more\n" * number)
            await asyncio.sleep(LOOK_S / 2)
            assert it.reloads("succeeded") <= 1
        await it.until(lambda: not it.blocks())


async def test_the_embedded_default_is_reloaded_too(reloading):
    async with reloading(None) as it:
        it.reloader.ask()
        await it.until(lambda: it.reloads("succeeded") == 1)


async def test_a_list_that_changes_is_read_again_and_the_old_one_is_let_go(write_policy, reloading):
    """Piece by piece, since a million names freed at once would hold up every query."""
    rule = "{id: ads, action: block, match: {lists: [ads.txt]}}"
    path = write_policy(
        f"version: 1\ndefault: allow\nrules: [{rule}]\n", **{"ads.txt": "old.example\n"}
    )
    turn_s = sys.getswitchinterval()
    async with reloading(path) as under_way:
        (names,) = under_way.holder.current.policy.rules[0].match.lists
        old = weakref.ref(names.suffix)
        del names
        path.with_name("ads.txt").write_text("new.example\n")
        await under_way.until(lambda: under_way.blocks("new.example"))
        await under_way.until(lambda: old() is None and not under_way.reloader._remains)
        assert not under_way.blocks("old.example")
    assert sys.getswitchinterval() == turn_s
