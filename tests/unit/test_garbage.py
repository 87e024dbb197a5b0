"""What the collector does after it was told that all is loaded."""

import gc

import pytest

from enforcer.garbage import make_collections_rare


@pytest.fixture(autouse=True)
def as_before():
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_loaded_is_not_looked_at_again():
    make_collections_rare()

    assert gc.get_freeze_count() > 1000
    assert len(gc.get_objects()) < gc.get_freeze_count()


def test_cycles_are_still_found_in_the_end():
    make_collections_rare()

    class Ring:
        ends = 0

        def __del__(self):
            Ring.ends += 1

    ring = Ring()
    ring.itself = ring
    del ring
    young, *_ = gc.get_threshold()
    _ = [[] for _ in range(young + 1)]

    assert Ring.ends == 1
