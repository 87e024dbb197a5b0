"""Names by the million, in a table that answers one question."""

import random

import pytest

from enforcer.policy.name_table import NameTable

# Enough for the table to grow.
MANY = [f"host{number}.example" for number in range(20_000)]


def table_of(*names, expected_bytes=0):
    table = NameTable(expected_bytes)
    table.add(names)
    return table


def test_a_name_is_found_and_its_neighbours_are_not():
    table = table_of("ads.example", "x.example")

    assert "ads.example" in table
    for other in ("ads.exampl", "ds.example", "example", "", "ads.example\nx.example", "\n"):
        assert other not in table


@pytest.mark.parametrize("expected_bytes", [0, 100, 400_000, 10_000_000])
def test_every_name_is_found_however_large_the_table_was_expected_to_be(expected_bytes):
    table = table_of(*MANY, expected_bytes=expected_bytes)

    assert len(table) == len(MANY)
    assert all(name in table for name in MANY)
    assert not any(f"a{name}" in table or name[1:] in table for name in MANY)


def test_a_table_that_grew_lists_what_was_added():
    table = NameTable()
    for start in range(0, len(MANY), 1000):
        table.add(MANY[start : start + 1000])

    assert sorted(table) == sorted(MANY)


def test_doubles_are_harmless():
    table = table_of(*MANY[:5], *MANY[:5])

    assert len(table) == 10
    assert MANY[0] in table


def test_an_empty_table_has_no_name_and_takes_little():
    assert "a.example" not in NameTable()
    assert "" not in NameTable()
    assert list(NameTable()) == []


def test_lines_are_added_as_text_is_cut():
    table = NameTable()
    table.add_lines("b.example\na.example\n".splitlines(keepends=True))

    assert sorted(table) == ["a.example", "b.example"]


def test_it_agrees_with_a_set():
    names = [f"{random.Random(seed).randrange(3000)}.example" for seed in range(6000)]
    table = table_of(*names[:3000])
    known = set(names[:3000])

    assert [name in table for name in names] == [name in known for name in names]


def test_what_a_table_leaves_is_let_go_once_nobody_asks_it():
    table = table_of(*MANY)
    remains = table.remains()

    assert not remains.let_go()
    assert all(name in table for name in MANY)
    del table
    assert remains.let_go()
    assert remains.let_go()
