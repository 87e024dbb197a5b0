"""A zone signed with a key of the lab's own, by BIND's tools, and the trust anchor for it."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class SignedZone(NamedTuple):
    """``trust_anchor`` is text as delv(1) reads it."""

    text: str
    trust_anchor: str


def sign_zone(name: str, text: str, directory: Path) -> SignedZone:
    """``directory`` keeps the key. One key signs all (dnssec-signzone's -z)."""
    directory.mkdir()
    (directory / "zone").write_text(text, encoding="utf-8")
    _run(directory, "dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", name)
    _run(directory, "dnssec-signzone", "-S", "-z", "-o", name, "-f", "signed", "zone")
    (key,) = directory.glob("K*.key")
    record = next(line for line in key.read_text().splitlines() if not line.startswith(";"))
    _, _, _, flags, protocol, algorithm, *material = record.split()
    anchor = f'{name}. static-key {flags} {protocol} {algorithm} "{"".join(material)}";'
    signed = (directory / "signed").read_text(encoding="utf-8")
    return SignedZone(signed, f"trust-anchors {{ {anchor} }};\n")


def _run(directory: Path, *command: str) -> None:
    ended = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{command[0]}: {ended.stderr}"
