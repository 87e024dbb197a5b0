"""``make bench-dns`` goes through, and the gateway's books are right after it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
NEEDED = ("dnsperf", "nsd", "taskset")


@pytest.mark.slow
@pytest.mark.skipif(
    not all(shutil.which(tool, path=PATH) for tool in NEEDED),
    reason="the bench needs: scripts/system-packages bench",
)
def test_a_quick_run_measures_the_gateway_and_finds_its_books_right(tmp_path):
    output = tmp_path / "dns.json"
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "bench.dns", "--quick"),
            *("--cases", "a", "--servers", "enforcer", "--json", str(output)),
        ],
        cwd=ROOT,
        env={"PATH": PATH, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    report = json.loads(output.read_text())
    assert report["books_right"]
    (result,) = report["results"]
    assert (result["case"], result["server"], result["lost"]) == ("a", "enforcer", 0)
    assert result["cpu_us_per_query"] > 0
    assert "equal" in ended.stdout
