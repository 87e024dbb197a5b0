"""The shape of the package: each module says what it is, is tested, and is short enough to read.

Which module may import which is checked by lint-imports (``make check``).
"""

import ast
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "enforcer"
MAX_LINES = 500
MAX_MEDIAN_LINES = 200
# Names that say nothing: what is in them has a name of its own.
NO_NAMES = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}
# A visible list: each is shown by the tests of what it is for.
WITHOUT_TWIN = {
    "dns/ask": "tuples; unit/dns/test_responder.py passes all of them on",
    "dns/judge": "unit/dns/test_responder_zones.py and tests/rpz judge through the responder",
    "workers/pool": "integration/test_workers.py and test_workers_life.py run pools",
    "__main__": "two lines; every test that runs a command runs it",
    "dns/upstream/attempt": "tests/unit/dns/test_inquiry.py makes them",
    "dns/upstream/link": "the same",
    "proxy/dial": "integration/test_gate.py dials what answers, refuses and is silent",
    "proxy/flow": "integration/test_gate.py plays whole flows",
    "settings/gateway": "tests/unit/settings/test_load.py loads it",
    "settings/section": "the same",
    "proxy/look": "integration/test_verify_online.py looks through it",
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def named(module):
    return module.relative_to(PACKAGE).with_suffix("").as_posix()


def lines(module):
    return len(module.read_text(encoding="utf-8").splitlines())


each_module = pytest.mark.parametrize("module", MODULES, ids=named)


@each_module
def test_a_module_says_what_it_is(module):
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))

    assert docstring
    assert len(docstring.splitlines()[0]) > len("a word")


@each_module
def test_a_module_has_a_test_of_its_name(module):
    name = named(module)
    if module.stem == "__init__" or name in WITHOUT_TWIN:
        return
    assert has_twin(module)


def has_twin(module):
    """A unit test of the same path, or an integration test with its name among its words."""
    unit = ROOT / "tests" / "unit" / module.relative_to(PACKAGE).with_name(f"test_{module.stem}.py")
    integration = (ROOT / "tests" / "integration").glob("test_*.py")
    return unit.exists() or any(f"_{module.stem}_" in f"{test.stem}_" for test in integration)


@each_module
def test_a_module_can_be_read_in_one_go(module):
    assert lines(module) <= MAX_LINES


def test_most_modules_are_short():
    assert median(map(lines, MODULES)) <= MAX_MEDIAN_LINES


@each_module
def test_a_module_is_named_for_what_it_does(module):
    assert not NO_NAMES.intersection(named(module).split("/"))


def test_what_has_no_twin_exists_and_has_none():
    modules = [PACKAGE / f"{name}.py" for name in WITHOUT_TWIN]

    assert [module for module in modules if not module.exists() or has_twin(module)] == []


def test_no_test_folder_is_a_package():
    assert list((ROOT / "tests").rglob("__init__.py")) == []
