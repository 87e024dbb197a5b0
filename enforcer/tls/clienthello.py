"""A ClientHello from any split of TCP segments and of TLS records.

Three outcomes: ClientHello, NEED_MORE, Malformed; it never raises. The gate calls it
with all that a client has sent, again whenever bytes arrive: until the hello can be
complete, that costs a few steps. RFC 8446 4.1.2, RFC 6066 3 (server_name).
"""

import re
from ipaddress import ip_address
from typing import Final, NamedTuple

from enforcer.policy.names import fold
from enforcer.tls.first_bytes import NEED_MORE, NeedMore
from enforcer.tls.reader import DecodeError, Reader
from enforcer.tls.record import first_handshake

# Hellos with post-quantum key shares are about 2 KB, with big session tickets up to
# 16 KB (where nginx and HAProxy stop by default). Twice that leaves room, and bounds
# what one client can make the gate hold.
MAX_HELLO_BYTES: Final = 32 * 1024

_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_ALPN: Final = 16
_SUPPORTED_VERSIONS: Final = 43
_ENCRYPTED_CLIENT_HELLO: Final = 0xFE0D  # RFC 9849
_HOST_NAME: Final = 0
_MAJOR_VERSION: Final = 3
_RANDOM_BYTES: Final = 32
_MAX_SESSION_ID_BYTES: Final = 32
_MAX_NAME_BYTES: Final = 253  # RFC 1035 2.3.4, in text form
# RFC 952 and 1123 know no underscore, but names in use do.
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}")
_GREASE: Final = frozenset(0x0A0A + 0x1010 * i for i in range(16))  # RFC 8701 2
_GREASE_ALPN: Final = frozenset(value.to_bytes(2, "big") for value in _GREASE)


class ClientHello(NamedTuple):
    """What the client says about itself.

    ``sni`` is folded, and None when there is no name: no extension, or an IP literal in
    it. ``versions`` and ``alpn`` are those offered, in the client's order, without
    GREASE. ``ech`` says that the extension is there, be it real or GREASE.
    """

    sni: str | None
    alpn: tuple[str, ...]
    versions: tuple[int, ...]
    ech: bool


class Malformed(NamedTuple):
    """Bytes that no further byte can turn into a ClientHello."""

    reason: str


def parse_client_hello(data: bytes | bytearray) -> ClientHello | NeedMore | Malformed:
    """The ClientHello at the front of what a client has sent; what follows is ignored."""
    try:
        message = first_handshake(data, _CLIENT_HELLO, MAX_HELLO_BYTES)
        return NEED_MORE if message is None else _parse_message(Reader(message))
    except DecodeError as error:
        return Malformed(str(error))


def _parse_message(reader: Reader) -> ClientHello:
    legacy_version = reader.number(2)
    if legacy_version >> 8 != _MAJOR_VERSION:
        raise DecodeError(f"a ClientHello of version {legacy_version:#06x}")
    reader.take(_RANDOM_BYTES)
    if len(reader.vector(1).rest()) > _MAX_SESSION_ID_BYTES:
        raise DecodeError(f"a session id of more than {_MAX_SESSION_ID_BYTES} bytes")
    suites = reader.vector(2).rest()
    if not suites or len(suites) % 2:
        raise DecodeError("cipher suites of a length that is zero or odd")
    if not reader.vector(1):
        raise DecodeError("no compression method")
    # RFC 5246 7.4.1.2: up to TLS 1.2 the extensions may be left out altogether.
    extensions = _parse_extensions(reader.vector(2)) if reader else {}
    if reader:
        raise DecodeError("bytes after the extensions")
    return ClientHello(
        sni=_parse_server_name(extensions.get(_SERVER_NAME)),
        alpn=_parse_alpn(extensions.get(_ALPN)),
        versions=_parse_versions(extensions.get(_SUPPORTED_VERSIONS), legacy_version),
        ech=_ENCRYPTED_CLIENT_HELLO in extensions,
    )


def _parse_extensions(reader: Reader) -> dict[int, Reader]:
    """Extensions by type."""
    extensions: dict[int, Reader] = {}
    while reader:
        extension_type = reader.number(2)
        # RFC 8446 4.2 forbids it, and servers differ in which of the two they believe.
        if extension_type in extensions:
            raise DecodeError(f"extension {extension_type} stands there twice")
        extensions[extension_type] = reader.vector(2)
    return extensions


def _list_in(extension: Reader, width: int, what: str) -> Reader:
    """The one list that an extension consists of."""
    items = extension.vector(width)
    if extension or not items:
        raise DecodeError(f"{what} is empty, or has bytes after its list")
    return items


def _parse_server_name(extension: Reader | None) -> str | None:
    if extension is None:
        return None
    names = _list_in(extension, 2, "server_name")
    by_type: dict[int, bytes] = {}
    while names:
        name_type = names.number(1)
        if name_type in by_type:
            raise DecodeError(f"two server names of type {name_type}")  # RFC 6066 3
        by_type[name_type] = names.vector(2).rest()
    host_name = by_type.get(_HOST_NAME)
    return None if host_name is None else _parse_host_name(host_name)


def _parse_host_name(raw: bytes) -> str | None:
    """Folded name; None for an IP literal.

    RFC 6066 3 forbids literals, but clients send them. One names no host, so the hello
    counts as one without a name, and policy decides by the address.
    """
    if not raw.isascii():
        raise DecodeError("server_name has bytes outside ASCII")
    name = fold(raw.decode("ascii"))  # RFC 6066 3 wants no final dot; servers cut it off
    if _is_ip_literal(name):
        return None
    if len(name) > _MAX_NAME_BYTES or not all(map(_LABEL.fullmatch, name.split("."))):
        raise DecodeError("server_name is not a host name")
    return name


def _is_ip_literal(name: str) -> bool:
    """Also a name whose last label is a number, such as 127.1 (RFC 1123 2.1)."""
    if name.rpartition(".")[2].isdecimal():
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _parse_alpn(extension: Reader | None) -> tuple[str, ...]:
    """Protocol names (RFC 7301 3.1); bytes outside ASCII become escapes."""
    if extension is None:
        return ()
    names = _list_in(extension, 2, "ALPN")
    protocols = []
    while names:
        name = names.vector(1).rest()
        if not name:
            raise DecodeError("an empty ALPN protocol name")
        if name not in _GREASE_ALPN:
            protocols.append(name.decode("ascii", "backslashreplace"))
    return tuple(protocols)


def _parse_versions(extension: Reader | None, legacy_version: int) -> tuple[int, ...]:
    """Versions offered (RFC 8446 4.2.1); a client before TLS 1.3 names only its highest."""
    if extension is None:
        return (legacy_version,)
    offered = _list_in(extension, 1, "supported_versions")
    versions = []
    while offered:
        version = offered.number(2)
        if version not in _GREASE:
            versions.append(version)
    return tuple(versions)
