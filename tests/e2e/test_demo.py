"""`make demo`, as a pipe sees it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.demo import Story

TESTS = Path(__file__).parent.parent


@pytest.mark.root
def test_demo_tells_its_story_and_it_holds(tools):
    told = subprocess.run(
        [sys.executable, "-m", "e2e.demo"],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "✗" not in told.stdout
    assert "\x1b" not in told.stdout
    assert "EDE: 15 (Blocked): " in told.stdout
    assert "(wrong_issuer)" in told.stdout.partition("enforcer audit")[2]


def test_story_with_one_false_fact_does_not_hold(capsys):
    story = Story()
    story.expect(True, "the first")
    assert story.holds
    story.expect(False, "the second")
    story.expect(True, "the third")
    assert not story.holds
    assert "is not: the second" in capsys.readouterr().out
