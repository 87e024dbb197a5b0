"""The certificates that an impostor of the Connect URL may have, and why each is refused."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pki
from pki import Authority, Leaf


@dataclass(frozen=True)
class Impostor:
    """``issue`` makes a leaf for a host; ``code`` is the reason that must be on record."""

    code: str
    issue: Callable[[Authority, str], Leaf]

    def host(self, name: str) -> str:
        """Each has a Connect URL of its own, as results are kept by host and address."""
        return f"{name.replace('_', '-')}.connect.example.com"


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def _another_ca(_: Authority, host: str) -> Leaf:
    return pki.letsencrypt_like().leaf(host)


def _another_key(_: Authority, host: str) -> Leaf:
    """Every name in the chain is right, down to the root's; the keys are not."""
    return pki.ngrok_like(keys="impostor").leaf(host)


def _another_key_with_the_root(_: Authority, host: str) -> Leaf:
    return pki.ngrok_like(keys="impostor").leaf(host, with_root=True)


def _expired(authority: Authority, host: str) -> Leaf:
    now = _now()
    return authority.leaf(
        host, not_before=now - timedelta(days=30), not_after=now - timedelta(minutes=1)
    )


def _not_yet_valid(authority: Authority, host: str) -> Leaf:
    now = _now()
    return authority.leaf(
        host, not_before=now + timedelta(hours=1), not_after=now + timedelta(days=30)
    )


def _another_host(authority: Authority, _: str) -> Leaf:
    """A genuine leaf of ngrok's, for somebody else's Connect URL."""
    return authority.leaf("connect.example.net")


IMPOSTORS = {
    "another_ca": Impostor("wrong_issuer", _another_ca),
    "right_name_another_key": Impostor("wrong_issuer", _another_key),
    "right_name_own_root": Impostor("wrong_issuer", _another_key_with_the_root),
    "expired": Impostor("expired", _expired),
    "not_yet_valid": Impostor("not_yet_valid", _not_yet_valid),
    "another_host": Impostor("wrong_host", _another_host),
}
