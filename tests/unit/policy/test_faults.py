"""pydantic's findings in a person's words."""

from enum import StrEnum
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from enforcer.policy.faults import Fault, explain_faults


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Paint(Strict):
    colours: list[str] = Field(min_length=1)


class Wall(Strict):
    colour: Colour
    finish: Literal["matt"] | Paint = "matt"
    height_mm: int = Field(default=1, ge=1)
    notes: tuple[str, ...] = ()


class House(Strict):
    walls: tuple[Wall, ...]


def in_file(value):
    """As source does it: what the file has of a path, without the tags of unions."""

    def known(path):
        found, at = (), value
        for part in path:
            try:
                at = at[part]
            except (KeyError, IndexError, TypeError):
                continue
            found = (*found, part)
        return found

    return known


def faults(value):
    with pytest.raises(ValidationError) as caught:
        House.model_validate(value)
    return list(explain_faults(House, caught.value.errors(include_url=False), in_file(value)))


def wall(**keys):
    return {"walls": [{"colour": "red", **keys}]}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (
            {"walls": [{}]},
            (("walls", 0, "colour"), "this key is missing", "add colour: red or green"),
        ),
        (
            wall(colour="blue"),
            (("walls", 0, "colour"), "'blue' is not known here", "write red or green"),
        ),
        (wall(heigth_mm=1), (("walls", 0, "heigth_mm"), "unknown key", "did you mean height_mm?")),
        (
            wall(zzz=1),
            (
                ("walls", 0, "zzz"),
                "unknown key",
                "the keys here are colour, finish, height_mm, notes",
            ),
        ),
        (wall(notes="x"), (("walls", 0, "notes"), "'x' is not a list", "write [x]")),
        (
            wall(notes=None),
            (("walls", 0, "notes"), "there is nothing here", "give it a value, or remove it"),
        ),
        (
            wall(height_mm="x"),
            (("walls", 0, "height_mm"), "'x' is not a whole number", "write a number"),
        ),
        (
            wall(height_mm=0),
            (
                ("walls", 0, "height_mm"),
                "0: input should be greater than or equal to 1",
                "correct it",
            ),
        ),
        ({"walls": "x"}, (("walls",), "'x' is not a list", "write [x]")),
        (
            {"walls": ["x"]},
            (
                ("walls", 0),
                "'x' stands where keys are wanted",
                "the keys here are colour, finish, height_mm, notes",
            ),
        ),
    ],
)
def test_a_fault_has_a_place_a_problem_and_a_remedy(value, fault):
    assert faults(value) == [Fault(*fault)]


def test_of_a_union_the_branch_that_was_meant_is_explained():
    place = ("walls", 0, "finish")
    [fault] = faults(wall(finish={"colors": ["x"]}))
    assert (fault.place, fault.remedy) == ((*place, "colors"), "did you mean colours?")
    [fault] = faults(wall(finish="shiny"))
    assert (fault.place, fault.remedy) == (place, "write matt or {colours: [...]}")


def test_one_place_has_one_fault():
    found = faults({"walls": [{"colour": "blue"}, {"colour": "red", "notes": [1, 2]}]})
    assert [fault.place for fault in found] == [
        ("walls", 0, "colour"),
        ("walls", 1, "notes", 0),
        ("walls", 1, "notes", 1),
    ]


def test_a_value_that_is_too_long_to_show_is_cut():
    [fault] = faults(wall(colour="b" * 5000))
    assert len(fault.problem) < 400
    assert fault.problem.endswith("...")
