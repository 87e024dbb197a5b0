"""Triggers of response policy zones, out of owner names (draft-vixie-dnsop-dns-rpz-00, 4).

``32.1.2.0.192.rpz-ip`` is 192.0.2.1, prefix length first and the rest backwards; in v6 ``zz``
stands for ``::``.
"""

from enum import Enum
from ipaddress import ip_network
from typing import NamedTuple

from enforcer.policy.addresses import parse_network
from enforcer.policy.model import Network

_V4_WORDS = 4
_V6_WORDS = 8
_WORD_DIGITS = 4


class Kind(Enum):
    """What a trigger is about, named as in the zone."""

    CLIENT_IP = "client-ip"
    QNAME = "qname"
    IP = "ip"
    NSDNAME = "nsdname"
    NSIP = "nsip"


_BY_LABEL = {f"rpz-{kind.value}": kind for kind in Kind if kind is not Kind.QNAME}


class Trigger(NamedTuple):
    """``name`` is folded text; ``below`` is for what is below it and not for itself."""

    kind: Kind
    name: str = ""
    below: bool = False
    network: Network | None = None


def parse_trigger(owner: str) -> Trigger:
    """The trigger of an owner name, folded and without the zone's own name.

    Raises ValueError with a sentence.
    """
    rest, _, label = owner.rpartition(".")
    kind = _BY_LABEL.get(label)
    if kind is None:
        if label.startswith("rpz-"):
            raise ValueError(f"{label} is no trigger that is known")
        return _name(Kind.QNAME, owner)
    if kind is Kind.NSDNAME:
        return _name(kind, rest)
    return Trigger(kind, network=_network(rest.split(".")))


def _name(kind: Kind, text: str) -> Trigger:
    below = text == "*" or text.startswith("*.")
    name = text[2:] if below else text
    if not name:
        raise ValueError("it would be for every name; the policy's default is for that")
    if "*" in name:
        raise ValueError("a * stands for a whole label, and only first")
    return Trigger(kind, name, below)


def _network(labels: list[str]) -> Network:
    bits, *words = labels
    words.reverse()
    try:
        v4 = len(words) == _V4_WORDS and "zz" not in words
        return parse_network(f"{'.'.join(words) if v4 else _v6(words)}/{bits}")
    except ValueError as error:
        said = str(error).partition("; ")[0]
        raise ValueError(f"{'.'.join(labels)} is no range: {said}") from None


def _v6(words: list[str]) -> str:
    short = words.count("zz")
    full = len(words) == _V6_WORDS
    if short > 1 or (not short and not full) or len(words) > _V6_WORDS:
        raise ValueError("v6 has eight words, or zz once for several of 0")
    if any(len(word) > _WORD_DIGITS for word in words):
        raise ValueError("a word has at most four digits")
    at = words.index("zz") if short else len(words)
    head, tail = ":".join(words[:at]), ":".join(words[at + 1 :])
    return str(ip_network(f"{head}::{tail}" if short else head).network_address)
