"""One question by hand: what is answered, and by when. Raw bytes: quick, and of no library."""

import socket
import time
from collections.abc import Callable
from typing import NamedTuple

NXDOMAIN = 3
POLL_S = 0.005
_ID = b"\xbe\x0c"
# Recursion desired, one question.
_HEADER = _ID + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
_A_IN = b"\x00\x01\x00\x01"


class Reply(NamedTuple):
    rcode: int
    answers: int


def build_query(name: str) -> bytes:
    labels = name.encode().split(b".")
    return _HEADER + b"".join(bytes((len(label),)) + label for label in labels) + b"\0" + _A_IN


def ask(port: int, name: str, timeout_s: float = 2.0) -> Reply | None:
    """The answer to an A question, or None in time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(timeout_s)
        udp.connect(("127.0.0.1", port))
        try:
            udp.send(build_query(name))
            return _read(udp.recv(4096))
        except OSError:
            return None


def wait_ready(
    port: int, name: str, expected: Reply, timeout_s: float, running: Callable[[], bool]
) -> bool:
    """Ask every POLL_S until the answer is right; False when it never is."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s and running():
        began_s = time.monotonic()
        if ask(port, name, POLL_S) == expected:
            return True
        time.sleep(max(0.0, POLL_S - (time.monotonic() - began_s)))
    return False


def _read(reply: bytes) -> Reply | None:
    if len(reply) < len(_HEADER) or reply[:2] != _ID:
        return None
    return Reply(reply[3] & 15, int.from_bytes(reply[6:8], "big"))
