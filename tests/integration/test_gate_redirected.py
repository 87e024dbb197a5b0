"""Connections that nftables brings to the gate, REDIRECT and TPROXY, IPv4 and IPv6.

In a network namespace of its own; needs root.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from integration import redirected

ALERT_UNRECOGNIZED_NAME = "15030300020270"
TESTS = Path(redirected.__file__).parent.parent


@pytest.mark.root
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_redirected_connection_is_judged_and_goes_where_it_was_going(loop, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes a network namespace")
    if not shutil.which("nft"):
        pytest.fail("the test needs: apt-get install nftables", pytrace=False)
    command = ["unshare", "--net", sys.executable, redirected.__file__, loop, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    passed = "hello of 22 from the server"
    assert json.loads(done.stdout) == {
        way: [passed, ALERT_UNRECOGNIZED_NAME, source, server, 443]
        for way, source, server in (
            ("redirect v4", redirected.REDIRECT_V4, redirected.SERVER_V4),
            ("redirect v6", redirected.REDIRECT_V6, redirected.SERVER_V6),
            ("tproxy v4", redirected.TPROXY_V4, redirected.SERVER_V4),
            ("tproxy v6", redirected.TPROXY_V6, redirected.SERVER_V6),
        )
    }
