"""YAML with lines: every value is found again, and nothing surprising is taken."""

import pytest
import yaml
from pydantic import BaseModel

from enforcer.policy.model import Source
from enforcer.policy.source import Located, PolicyError, Problem, render_path

TEXT = """\
# a comment
version: 1
rules:
  - id: one
    match: {names: [a.example,
                    b.example]}
  - id: two
"""


def problems_of(text):
    with pytest.raises(PolicyError) as caught:
        Located("f.yaml", text)
    return [(p.source.line, p.key, p.problem, p.remedy) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("version",), 2),
        (("rules",), 3),
        (("rules", 0), 4),
        (("rules", 0, "match", "names", 1), 6),
        (("rules", 1, "id"), 7),
        (("rules", 1, "match", "names", 3), 7),
        (("nothing", "like", "it"), 1),
    ],
)
def test_a_value_is_found_again_or_the_nearest_part_above_it(path, line):
    assert Located("f.yaml", TEXT).source(path) == Source("f.yaml", line)


def test_the_plain_value_is_what_yaml_says():
    assert Located("f.yaml", TEXT).value == yaml.safe_load(TEXT)
    assert Located("f.yaml", "").value == {}
    assert Located("f.yaml", "# nothing\n").value == {}


def test_an_alias_may_be_used_as_it_is_meant():
    text = "a: &hosts [x.example]\nb: *hosts\nc: {<<: {d: 1}, e: 2}\n"
    located = Located("f.yaml", text)
    assert located.value == {"a": ["x.example"], "b": ["x.example"], "c": {"d": 1, "e": 2}}
    assert located.source(("c", "e")).line == 3


def test_every_key_that_stands_twice_is_told():
    assert [line for line, *_ in problems_of("a: 1\na: 2\nb: {c: 1, c: 2}\n")] == [2, 3]


@pytest.mark.parametrize("text", ["a: 0443", "a: 0x1bb", "a: 1:30", "a: 1_000", "a: +5"])
def test_a_number_is_what_a_person_reads(text):
    """YAML 1.1 takes 0443 for 291."""
    [(line, key, problem, _)] = problems_of(text)
    assert (line, key) == (1, "a")
    assert "as the number" in problem


def test_a_quoted_number_is_text():
    assert Located("f.yaml", "a: '0443'\nb: -7\nc: 443\n").value == {"a": "0443", "b": -7, "c": 443}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: \x07\n", 2, "there is a character that YAML does not allow, #x07"),
        ("é: ü\nb: \0\n", 2, "there is a character that YAML does not allow, #x00"),
        ("a: 1\nb: \ud800\n", 2, "there is half a character here (a surrogate)"),
        ("a:\n\t- b\n", 2, "this line is indented with a tab"),
        ("a: b: c\n", 1, "mapping values are not allowed in this context"),
        ("a: *nowhere\n", 1, "found undefined alias"),
        ("a: 2026-13-45\n", 1, "YAML takes '2026-13-45' for a date or a number, and it is none"),
        ("a: !!binary aGk=\n", 1, "the tag !!binary is not used here"),
    ],
)
def test_what_yaml_does_not_take_is_told_with_its_line(text, line, problem):
    [(found_line, _, found, remedy)] = problems_of(text)
    assert (found_line, found) == (line, problem)
    assert remedy


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
@pytest.mark.parametrize("depth", [40, 900, 50_000])
def test_depth_is_bounded(opening, depth):
    closing = {"[": "]", "{a: ": "}", "- ": ""}[opening]
    assert problems_of(opening * depth + "x" + closing * depth)


def test_aliases_of_aliases_are_bounded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    [(_, _, problem, _)] = problems_of("\n".join(lines))
    assert problem == "its aliases make the file too large"


class Inner(BaseModel):
    port: int


class Outer(BaseModel):
    inner: Inner
    numbers: list[int] = []


def test_a_document_is_checked_against_its_shape():
    document = Located("f.yaml", "inner: {port: 443}").validate(Outer)
    assert document.inner.port == 443


def test_all_faults_of_a_document_are_told_at_once():
    located = Located("f.yaml", "inner:\n  port: x\nnumbers:\n  - 1\n  - y\n")
    with pytest.raises(PolicyError) as caught:
        located.validate(Outer)
    places = [(p.source.line, p.key) for p in caught.value.problems]
    assert places == [(2, "inner.port"), (5, "numbers[1]")]


def test_a_problem_reads_as_a_sentence():
    problem = Problem(Source("f.yaml", 3), "rules[0].id", "it is wrong", "write it right")
    assert str(problem) == "f.yaml:3: rules[0].id: it is wrong; write it right"
    assert str(problem._replace(key="")) == "f.yaml:3: it is wrong; write it right"
    assert str(PolicyError([problem, problem])).count("\n") == 1


def test_a_path_is_written_as_in_python():
    assert render_path(("rules", 2, "match", "names", 0)) == "rules[2].match.names[0]"
    assert render_path(()) == ""
