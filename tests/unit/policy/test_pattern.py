"""Patterns, against a matcher written another way."""

import re
import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enforcer.policy.pattern import (
    compile_pattern,
    literal_labels,
    literal_tail,
    overlap,
    parse_pattern,
)

glob_labels = st.text("ab*", min_size=1, max_size=5)
patterns = (
    st.lists(glob_labels, min_size=1, max_size=3)
    .map(".".join)
    .filter(lambda text: "*" in text)
    .map(parse_pattern)
)
names = st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=3).map(".".join)


def oracle(pattern, name):
    """Label by label, as a shell would match; a label that is only a star is never empty."""
    globs, labels = pattern.split("."), name.split(".")
    return len(globs) == len(labels) and all(map(fnmatchcase, labels, globs))


@given(patterns, names)
@example("a*a", "a")
@example("*ab*ba*", "abba")
@example("*aab", "aaaab")
def test_a_pattern_matches_as_a_shell_would_label_by_label(pattern, name):
    assert bool(compile_pattern(pattern).fullmatch(name)) is oracle(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("connect.*.ngrok-agent.com", "connect.us.ngrok-agent.com", True),
        ("connect.*.ngrok-agent.com", "connect.ngrok-agent.com", False),
        ("connect.*.ngrok-agent.com", "connect.a.b.ngrok-agent.com", False),
        ("connect.*.ngrok-agent.com", "connect.us.ngrok-agent.com.evil.example", False),
        ("connect.*.ngrok-agent.com", "connect.us.ngrokxagent.com", False),
        ("connect.*-ngrok-agent.com", "connect.dev-ngrok-agent.com", True),
        ("connect.*-ngrok-agent.com", "connect.ngrok-agent.com", False),
        ("*.example.com", ".example.com", False),
        ("a*.example.com", "a.example.com", True),
        ("*.example.com", "\n.example.com", True),
    ],
)
def test_a_star_stays_within_its_label(pattern, name, matches):
    assert bool(compile_pattern(parse_pattern(pattern)).fullmatch(name)) is matches


def test_a_pattern_is_folded_and_double_stars_are_one():
    assert parse_pattern("Foo**.Example.COM.") == "foo*.example.com"


@pytest.mark.parametrize(
    ("text", "says"),
    [("example.com", "has no \\*"), ("*..com", "empty label"), ("*.exa mple", "no host name has")],
)
def test_what_is_no_pattern_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        parse_pattern(text)


def test_a_hostile_name_costs_no_more_than_its_length():
    """Nested stars would make a backtracking expression try for ages."""
    expression = compile_pattern("*a*a*a*a*a*a*a*a*a*b.example.com")
    start = time.perf_counter()
    assert not expression.fullmatch("a" * 5000 + ".example.com")
    assert time.perf_counter() - start < 1


@given(patterns)
def test_literal_labels_and_tail_are_those_without_a_star(pattern):
    labels = pattern.split(".")
    assert literal_labels(pattern) == len([label for label in labels if "*" not in label])
    tail = literal_tail(pattern)
    assert "*" not in tail
    assert re.fullmatch(rf"[ab*.]*\*[ab]*{'.' if tail else ''}{tail}", pattern)


@given(patterns, names)
def test_every_match_ends_in_the_literal_tail(pattern, name):
    tail = literal_tail(pattern)
    if tail and compile_pattern(pattern).fullmatch(name):
        assert name.endswith("." + tail)


def _all_names(labels, longest):
    words = [""]
    texts = []
    for _ in range(longest):
        words = [word + letter for word in words for letter in "ab"]
        texts += words
    if labels == 1:
        return texts
    return [f"{left}.{right}" for left in texts for right in texts]


SHORT_NAMES = [*_all_names(1, 6), *_all_names(2, 4)]
short_patterns = (
    st.lists(st.text("ab*", min_size=1, max_size=3), min_size=1, max_size=2)
    .map(".".join)
    .filter(lambda text: "*" in text)
    .map(parse_pattern)
)


@given(short_patterns, short_patterns)
def test_two_patterns_overlap_when_some_name_matches_both(left, right):
    """A label of two globs with at most two letters each needs at most four letters."""
    left_matches, right_matches = compile_pattern(left).fullmatch, compile_pattern(right).fullmatch
    shared = any(left_matches(name) and right_matches(name) for name in SHORT_NAMES)
    assert overlap(left, right) is shared


@given(patterns, patterns)
def test_overlap_has_no_order(left, right):
    assert overlap(left, right) is overlap(right, left)
    assert overlap(left, left)
