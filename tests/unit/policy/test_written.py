"""How entries are written: times, groups, types and records; test_document has the others."""

import pytest
from pydantic import TypeAdapter, ValidationError

from enforcer.policy.written import ClientText, Clock, GroupName, OneOrMore, QueryType, RecordText


def said(kind, value):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "minutes"), [("00:00", 0), ("8:05", 485), ("23:59", 1439), ("24:00", 1440)]
)
def test_a_time_of_day_is_minutes_after_midnight(text, minutes):
    assert TypeAdapter(Clock).validate_python(text) == minutes


@pytest.mark.parametrize("text", ["24:01", "8", "08:60", "-1:00", "08:00:00", ""])
def test_what_is_no_time_of_day_is_refused(text):
    assert "write one from 00:00 to 24:00" in said(Clock, text)


def test_a_client_is_a_range_or_a_group():
    clients = TypeAdapter(ClientText)
    assert clients.validate_python("lab") == "lab"
    assert str(clients.validate_python("192.0.2.0/24")) == "192.0.2.0/24"
    assert str(clients.validate_python("abcd::")) == "abcd::/128"
    assert "write an address or a range" in said(ClientText, "Lab")


@pytest.mark.parametrize("name", ["Lab", "1lab", "a.b", "192.0.2.1", ""])
def test_no_group_is_named_like_a_range(name):
    assert "is not a name of a group" in said(GroupName, name)


@pytest.mark.parametrize("kind", [Clock, ClientText, QueryType, RecordText])
@pytest.mark.parametrize("value", [None, 1, True, ["x"]])
def test_what_is_no_text_is_refused(kind, value):
    assert "valid string" in said(kind, value)


def test_one_mapping_may_stand_for_a_list_of_one():
    assert OneOrMore.listed({"a": 1}) == ({"a": 1},)
    assert OneOrMore.listed([{"a": 1}]) == [{"a": 1}]
