"""What the pages say works: YAML blocks load, commands parse, links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from enforcer.policy.admit import admit_policy
from enforcer.policy.document import PackDocument
from enforcer.policy.source import Located
from enforcer.settings.gateway import Settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)[^)]*\)")


def blocks(kind):
    """The text of each fenced block of a kind, named by its page and line."""
    found_blocks = []
    for page in PAGES:
        text = page.read_text()
        for found in BLOCK.finditer(text):
            if found[1] == kind:
                line = text.count("\n", 0, found.start()) + 1
                place = f"{page.relative_to(ROOT)}:{line}"
                found_blocks.append(pytest.param(found[2], id=place))
    return found_blocks


@pytest.mark.parametrize("text", blocks("yaml"))
def test_policy_in_the_docs_loads(text, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    assert admit_policy(path).warnings == ()


@pytest.mark.parametrize("text", blocks("yaml settings"))
def test_settings_in_the_docs_load(text):
    Located("docs", text).validate(Settings)


@pytest.mark.parametrize("text", blocks("yaml pack"))
def test_pack_in_the_docs_loads(text):
    assert Located("docs", text).validate(PackDocument).rules


def commands():
    found = []
    for block in blocks("sh"):
        for line in block.values[0].splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].rpartition("/")[2] == "enforcer":
                found.append(pytest.param(words[1:], id=f"{block.id} {' '.join(words[:2])}"))
    return found


@pytest.mark.parametrize("words", commands())
def test_command_in_the_docs_has_these_options(words):
    import typer

    from enforcer.cli import app

    root = typer.main.get_command(app)
    command = root.commands[words[0]]
    command.make_context(words[0], words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


def test_make_targets_in_the_docs_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = {
        words[1]
        for block in blocks("sh")
        for words in map(str.split, block.values[0].splitlines())
        if words[:1] == ["make"]
    }
    assert named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)
