"""Foreign tools at the client's end, and what they say: dig, delv, openssl, curl.

They judge the product; what they print is taken apart here and nowhere else.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from e2e.netns import Namespace

UNRECOGNIZED_NAME, ACCESS_DENIED = 112, 49  # RFC 6066 9, RFC 8446 6
NO_ANSWER_S = 3


@dataclass(frozen=True)
class Lookup:
    """What dig got: the status, the answer's data in order, and the EDE line."""

    status: str
    data: tuple[str, ...]
    error: str
    server: str
    seconds: float


def dig(namespace: Namespace, *arguments: str) -> Lookup:
    started_s = time.monotonic()
    options = ["+tries=1", f"+time={NO_ANSWER_S}"]
    text = namespace.run(["dig", *options, *arguments]).stdout
    seconds = time.monotonic() - started_s
    answer = re.search(r";; ANSWER SECTION:\n(.*?)\n\n", text, re.DOTALL)
    lines = answer[1].splitlines() if answer else []
    return Lookup(
        status=_first(r"status: (\w+)", text) or text.strip(),
        data=tuple(line.split(maxsplit=4)[4] for line in lines),
        error=_first(r"; (EDE: [^\n]*)", text),
        server=_first(r";; SERVER: ([^#]+)#", text),
        seconds=seconds,
    )


def delv(namespace: Namespace, anchor: Path, zone: str, name: str) -> str:
    """What a validating client says of a name, with ``zone``'s key as all that it trusts."""
    command = ["delv", f"+root={zone}", "-a", str(anchor), name]
    ended = namespace.run(command)
    return ended.stdout + ended.stderr


@dataclass(frozen=True)
class Handshake:
    """How openssl's handshake went: ``alert`` is the number that ended it."""

    done: bool
    alert: int | None
    certificate: str
    seconds: float
    text: str


def shake_hands(namespace: Namespace, address: str, sni: str, *options: str) -> Handshake:
    """A TLS handshake with ``address`` port 443; an empty SNI sends none."""
    where = f"[{address}]:443" if ":" in address else f"{address}:443"
    name = ["-servername", sni] if sni else ["-noservername"]
    started_s = time.monotonic()
    ended = namespace.run(["openssl", "s_client", "-connect", where, *name, *options])
    text = ended.stdout + ended.stderr
    alert = _first(r"SSL alert number (\d+)", text)
    return Handshake(
        done="New, TLSv1." in text,
        alert=int(alert) if alert else None,
        certificate=_first(r"(-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----)", text),
        seconds=time.monotonic() - started_s,
        text=text,
    )


@dataclass(frozen=True)
class Fetch:
    """What curl got. ``dialogue`` is what it says with -v; ``code`` its own exit code."""

    code: int
    body: str
    dialogue: str


def curl(namespace: Namespace, *arguments: str) -> Fetch:
    ended = namespace.run(["curl", "-sSv", "--max-time", "5", *arguments])
    return Fetch(ended.returncode, ended.stdout, ended.stderr)


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.DOTALL)
    return found[1] if found else ""
