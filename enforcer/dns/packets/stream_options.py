"""What an answer's OPT says of the connection that it goes over. Pure.

How long it may be idle (RFC 7828), and padding where it is encrypted (RFC 7830), so that
its length tells nobody what was asked. Each only for who asked for it.
"""

from typing import Final

from enforcer.dns.packets.opt import (
    KEEPALIVE_OPTION,
    OPTION,
    PADDING_OPTION,
    append_option,
    build_option,
    find_opts,
)

# RFC 8467 4.1: what most servers pad to, so that none stands out.
PAD_TO_BYTES: Final = 468
_KEEPALIVE: Final = KEEPALIVE_OPTION.to_bytes(2, "big")
_PADDING: Final = PADDING_OPTION.to_bytes(2, "big")
_UNIT_S: Final = 0.1  # RFC 7828 3.1
_MAX_UNITS: Final = 0xFFFF


def add_stream_options(query: bytes, response: bytes, *, idle_s: float, encrypted: bool) -> bytes:
    """The response with the options that belong to its stream. Never raises."""
    # Nearly no query has them: these bytes are looked for before the message is read.
    if _KEEPALIVE not in query and not (encrypted and _PADDING in query):
        return response
    asked = {code for opt in find_opts(query) or () for code, _ in opt.options()}
    if KEEPALIVE_OPTION in asked:
        units = min(int(idle_s / _UNIT_S), _MAX_UNITS)
        option = build_option(KEEPALIVE_OPTION, units.to_bytes(2, "big"))
        response = append_option(response, option)
    if encrypted and PADDING_OPTION in asked:
        padding = -(len(response) + OPTION.size) % PAD_TO_BYTES
        response = append_option(response, build_option(PADDING_OPTION, bytes(padding)))
    return response
