"""HTTPS and SVCB records (RFC 9460) without what would lead round the other planes.

``ech`` would hide the server's name from the TLS plane, and a hint is an address that
the client connects to without asking for it. What is signed cannot be changed: the
signatures go too, and AD, which vouches for them.
"""

from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from enforcer.dns.packets.answer import (
    ECH,
    IPV4HINT,
    IPV6HINT,
    MANDATORY,
    Answer,
    Service,
    walk_params,
)
from enforcer.dns.packets.rebuild import rebuild
from enforcer.dns.packets.records import HTTPS, RRSIG, SVCB, UNREADABLE, read_name, walk_records
from enforcer.dns.packets.wire import AD, OPT
from enforcer.policy.addresses import unpack_address
from enforcer.policy.model import Address

_SIGNED: Final = frozenset(kind.to_bytes(2, "big") for kind in (HTTPS, SVCB))
_ADDITIONAL: Final = 3


class Strip(NamedTuple):
    """What must go: every ``ech``, or none, and these hints."""

    ech: bool
    hints: AbstractSet[Address]


def strip_services(reply: bytes, answer: Answer, strip: Strip) -> bytes | None:
    """The reply without it. ``answer`` is what parse_answer says of just these bytes.

    The additional section goes as a whole, OPT excepted: it may repeat what was stripped
    (RFC 9460 4.1). A reply that has nothing of all this comes back as it is. None, which
    must not be passed on, for one that cannot be changed.
    """
    try:
        changes = _changes(reply, answer, strip)
    except UNREADABLE:
        return None
    if not changes:
        return reply
    stripped = rebuild(reply, changes)
    if stripped is None:
        return None
    return stripped[:3] + bytes((stripped[3] & ~AD,)) + stripped[4:]


def _changes(reply: bytes, answer: Answer, strip: Strip) -> dict[int, bytes | None]:
    changes: dict[int, bytes | None] = {
        service.owner_at: _strip_service(reply, service, strip)
        for service in answer.services
        if (strip.ech and service.ech) or not strip.hints.isdisjoint(service.hints)
    }
    if changes:
        for record in walk_records(reply):
            covered = reply[record.data_at : record.data_at + 2]
            if (record.section == _ADDITIONAL and record.kind != OPT) or (
                record.kind == RRSIG and covered in _SIGNED
            ):
                changes[record.owner_at] = None
    return changes


def _strip_service(reply: bytes, service: Service, strip: Strip) -> bytes:
    """A record's data, in which mandatory names no key that has gone (RFC 9460 8)."""
    params: dict[int, bytes] = {}
    for key, start, stop in walk_params(reply, service.params_at, service.end):
        value = _strip_param(key, reply[start:stop], strip)
        if value is not None:
            params[key] = value
    if MANDATORY in params:
        pairs = _split(params.pop(MANDATORY), 2)
        mandatory = b"".join(pair for pair in pairs if int.from_bytes(pair, "big") in params)
        if mandatory:
            params = {MANDATORY: mandatory, **params}
    name_at = service.data_at + 2
    return b"".join(
        (
            reply[service.data_at : name_at],
            read_name(reply, name_at, folded=False),
            *(
                key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
                for key, value in params.items()
            ),
        )
    )


def _strip_param(key: int, value: bytes, strip: Strip) -> bytes | None:
    """What is left of a parameter's value; None when the parameter goes."""
    if key == ECH:
        return None if strip.ech else value
    if key not in (IPV4HINT, IPV6HINT):
        return value
    size = 4 if key == IPV4HINT else 16
    # A hint without an address is malformed.
    left = (hint for hint in _split(value, size) if unpack_address(hint) not in strip.hints)
    return b"".join(left) or None


def _split(packed: bytes, size: int) -> list[bytes]:
    return [packed[at : at + size] for at in range(0, len(packed), size)]
