"""Whatever a file holds: a document, or a PolicyError that says where and what to do."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from enforcer.policy.document import PackDocument, PolicyDocument
from enforcer.policy.source import Located, PolicyError
from enforcer.settings.gateway import Settings

tokens = st.lists(
    st.sampled_from(
        [
            *"[]{},:-?&*!|>'\"%@`#~=<\t\n ",
            "\n  ",
            ": ",
            "- ",
            "<<: ",
            "&a ",
            "*a",
            "!!int ",
            "version: 1\n",
            "default: allow\n",
            "rules:\n",
            "id: x\n",
            "match: {names: [a.example]}\n",
            "connect_urls:\n",
            "include: ",
            "2026-13-13",
            "0o7",
            "1:30",
            "null",
            "yes",
            ".inf",
            "9" * 5000,
            "é",
            "\u2028",
            "\ufeff",
            "\ud800",
            "\0",
        ]
    ),
    max_size=25,
).map("".join)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
keys = st.sampled_from(
    [*PolicyDocument.model_fields, "id", "action", "match", "names", "ports", "refusal", "host"]
)
shaped = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def _problems(text, model):
    try:
        Located("f.yaml", text).validate(model)
    except PolicyError as error:
        return error.problems
    return None


def _read(text):
    # YAML 1.1 ends lines in five ways; none is shorter than a character.
    last_line = len(text) + 1
    for model in (PolicyDocument, PackDocument, Settings):
        problems = _problems(text, model)
        assert problems != ()
        for found in problems or ():
            assert 1 <= found.source.line <= last_line
            assert found.problem
            assert found.remedy


@given(st.text(max_size=200) | tokens)
def test_any_text_is_a_document_or_a_policy_error(text):
    _read(text)


@given(shaped)
def test_any_value_is_a_document_or_a_policy_error(value):
    try:
        text = yaml.safe_dump(value, allow_unicode=True)
    except (yaml.YAMLError, UnicodeEncodeError):
        return
    _read(text)
