"""Every policy in tests/data/policies is refused for what its name says, in so many words."""

from pathlib import Path

import pytest

from enforcer.policy.admit import admit_policy
from enforcer.policy.source import PolicyError

FOLDER = Path(__file__).parents[2] / "data" / "policies"
FILES = sorted(FOLDER.glob("*.yaml"))


def expectation(path):
    """The comment on top: line, key, problem, remedy."""
    lines = path.read_text(encoding="utf-8").splitlines()[:4]
    words = [line.removeprefix("# ").partition(":")[2].strip() for line in lines]
    return int(words[0]), *words[1:]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_wrong_policy_is_refused_with_line_key_problem_and_remedy(path):
    with pytest.raises(PolicyError) as caught:
        admit_policy(path)
    [found] = caught.value.problems
    problem, remedy = (text.replace(f"{FOLDER}/", "") for text in (found.problem, found.remedy))
    assert found.source.file == str(path)
    assert (found.source.line, found.key, problem, remedy) == expectation(path)
    assert str(found).startswith(f"{path}:{found.source.line}: ")
    assert str(found).endswith(f"{found.problem}; {found.remedy}")


def test_there_are_policies_to_refuse():
    assert len(FILES) > 50
