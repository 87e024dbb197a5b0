"""The wheel carries what a gateway needs: policies, roots, and a default that loads from there."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built with what is installed: the network has no say in it."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: pip install '.[test]'")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("enforcer-*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_it_has_the_policies_and_the_roots(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert {"enforcer/policies/default.yaml", "enforcer/policies/packs/ngrok.yaml"} <= names
    roots = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("enforcer/data/*.pem")}
    assert roots
    assert roots <= names


def test_it_has_every_module_and_nothing_of_the_checkout(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("enforcer/**/*.py")}

    assert modules <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"enforcer"}
    assert not [name for name in names if name.startswith("enforcer/tests")]


def test_its_check_finds_the_embedded_default_in_itself(unpacked, tmp_path):
    done = enforcer(unpacked, tmp_path, "check")

    assert done.returncode == 0, done.stderr
    assert str(unpacked / "enforcer" / "policies" / "default.yaml") in done.stdout
    assert "Connect URL connect.example.com:443" in done.stdout


def test_its_explain_blocks_a_default_name(unpacked, tmp_path):
    done = enforcer(unpacked, tmp_path, "explain", "connect.ngrok-agent.com")

    assert done.stdout.startswith("block: "), done.stderr
    assert str(unpacked / "enforcer" / "policies" / "packs" / "ngrok.yaml") in done.stdout


def test_its_roots_are_found(unpacked, tmp_path):
    empty = tmp_path / "chain.pem"
    empty.write_text("")

    arguments = ["--chain", empty, "--host", "connect.example.com", "--roots", "ngrok"]
    done = enforcer(unpacked, tmp_path, "verify", *arguments)

    assert "Traceback" not in done.stderr
    assert done.returncode in {1, 2}


def enforcer(site, cwd, *arguments):
    """The command of the unpacked wheel, from a folder that has nothing of ours."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ENFORCER", "PYTHON"))}
    # Before site-packages, where an editable install points to the checkout.
    environment["PYTHONPATH"] = str(site)
    command = [sys.executable, "-m", "enforcer", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
