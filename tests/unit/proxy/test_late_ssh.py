import itertools

import pytest

from enforcer.proxy.late_ssh import LateSsh
from enforcer.tls.first_bytes import MAX_SSH_BYTES


class Watched:
    """A splice that says what becomes of it."""

    def __init__(self):
        self.said = []

    def unwatch(self):
        self.said.append("unwatch")

    def abort(self):
        self.said.append("abort")


SAID = b"hello\r\n\nSSH-2.0-Go\r\n"


@pytest.mark.parametrize("cut", range(1, len(SAID)))
def test_where_it_is_cut_is_no_matter(cut):
    splice = Watched()
    watch = LateSsh(splice, lambda: False)
    passed = b"".join(itertools.takewhile(watch, (SAID[:cut], SAID[cut:])))
    assert splice.said == ["unwatch", "abort"]
    assert b"SSH-" not in passed


def test_what_is_admitted_is_asked_about_once():
    splice, asked = Watched(), []
    watch = LateSsh(splice, lambda: asked.append(1) or True)
    assert watch(SAID)
    assert (splice.said, asked) == (["unwatch"], [1])


@pytest.mark.parametrize("size", [1, 100, MAX_SSH_BYTES, 100_000])
def test_no_more_is_read_along_than_a_server_looks_at(size):
    splice = Watched()
    watch = LateSsh(splice, lambda: False)
    left = MAX_SSH_BYTES
    while left > 0:
        assert not splice.said
        assert watch(b"x" * size)
        left -= size
    assert splice.said == ["unwatch"]
