"""Names: one spelling in text for each name on the wire, and nothing that is not a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.policy.names import (
    MAX_LABELS,
    fold,
    fold_wire,
    from_wire,
    parse_host,
    suffixes,
    to_wire,
)

host_labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)
hosts = st.lists(host_labels, min_size=1, max_size=6).map(".".join)
wire_labels = st.binary(min_size=1, max_size=63)


def _wire(labels):
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("connect.example.com", "connect.example.com"),
        ("Connect.Example.COM.", "connect.example.com"),
        (" connect.example.com ", "connect.example.com"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("connect\u3002ngrok-agent.com", "connect.ngrok-agent.com"),
        ("\uff43\uff4f\uff4e\uff4e\uff45\uff43\uff54.ngrok-agent.com", "connect.ngrok-agent.com"),
        ("connect.ngro\u212a-agent.com", "connect.ngrok-agent.com"),
        ("con\u00adnect.ngrok-agent.com", "connect.ngrok-agent.com"),
    ],
)
def test_every_spelling_of_a_host_is_one_name(text, name):
    assert parse_host(text) == name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        (".", "is empty"),
        ("example..com", "empty label"),
        ("example.com..", "empty label"),
        (".example.com", "empty label"),
        ("connect.example.com:443", "no host name has"),
        ("connect\\046example.com", "no host name has"),
        ("exam ple.com", "no host name has"),
        ("example.com\0", "no host name has"),
        ("*.example.com", "no host name has"),
        ("a" * 64 + ".com", "too long"),
        (".".join(["abcdefg"] * 32), "too long"),
        ("\ud800.com", "not a valid internationalised name"),
        ("-ü-.example", "not a valid internationalised name"),
    ],
)
def test_what_is_no_host_is_refused_with_a_remedy(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        parse_host(text)
    problem, _, remedy = str(caught.value).rpartition("; ")
    assert problem
    assert remedy


def test_a_name_of_253_bytes_is_the_longest():
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert len(longest) == 253
    assert parse_host(longest + ".") == longest
    with pytest.raises(ValueError, match="too long"):
        parse_host(longest + "b")


def test_a_pattern_may_have_stars():
    assert parse_host("*.Example.com", wildcard=True) == "*.example.com"


@given(hosts)
def test_text_and_wire_are_the_same_name(host):
    assert from_wire(to_wire(host)) == fold(host)


@given(st.lists(wire_labels, max_size=4))
def test_text_splits_on_dots_where_the_wire_has_labels(labels):
    text = from_wire(_wire(labels))
    assert len(text.split(".")) == max(len(labels), 1)
    assert text.isascii()
    assert not any(c.isspace() or not c.isprintable() for c in text)


def test_a_dot_inside_a_label_is_not_a_boundary():
    """An answer for the one label ``connect.ngrok-agent`` must not pass for the name."""
    assert from_wire(_wire([b"connect.ngrok-agent", b"com"])) == "connect\\046ngrok-agent.com"
    assert from_wire(_wire([b"a\\", b'"', b"\xff"])) == "a\\092.\\034.\\255"


@given(st.lists(wire_labels, max_size=3), st.lists(wire_labels, max_size=3))
def test_no_two_names_have_one_text(left, right):
    same_wire = fold_wire(_wire(left)) == fold_wire(_wire(right))
    assert (from_wire(_wire(left)) == from_wire(_wire(right))) is same_wire


def test_wire_folds_ascii_letters_only():
    assert fold_wire(b"\x03WwW\x02\xc4\x5b\0") == b"\x03www\x02\xc4\x5b\0"


def test_the_root_is_the_empty_name():
    assert to_wire("") == b"\0"
    assert from_wire(b"\0") == ""
    assert list(suffixes("")) == []


def test_suffixes_go_from_the_name_up():
    assert list(suffixes("a.b.c")) == ["a.b.c", "b.c", "c"]


def test_255_bytes_have_room_for_127_labels():
    assert len(_wire([b"a"] * MAX_LABELS)) == 255


@given(st.text(max_size=80))
def test_parse_host_raises_nothing_but_value_error(text):
    try:
        name = parse_host(text)
    except ValueError:
        return
    assert parse_host(name) == name
    assert len(to_wire(name)) <= 255
