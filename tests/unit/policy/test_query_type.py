"""Query types by name and number."""

import dns.rdatatype
import pytest

from enforcer.policy import query_type
from enforcer.policy.query_type import parse_query_type, query_type_name


@pytest.mark.parametrize(
    ("text", "number"),
    [("A", 1), ("aaaa", 28), (" Https ", 65), ("TYPE65", 65), ("type65280", 65280)],
)
def test_a_type_is_known_by_its_name_in_any_case_and_by_its_number(text, number):
    assert parse_query_type(text) == number


@pytest.mark.parametrize("text", ["", "HTPS", "TYPE0", "TYPE65536", "TYPE-1", "65", "TYPE\u0666"])
def test_anything_else_is_refused_with_a_remedy(text):
    with pytest.raises(ValueError, match="; write one such as AAAA, or TYPE65"):
        parse_query_type(text)


def test_the_names_are_those_that_dnspython_has():
    for name, number in query_type._NUMBERS.items():
        assert dns.rdatatype.from_text(name) == number


def test_a_type_without_a_name_has_its_number():
    assert (query_type_name(65), query_type_name(65280)) == ("HTTPS", "TYPE65280")
