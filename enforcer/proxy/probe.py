"""One TLS handshake, to see which certificates an address presents for a name.

Verifies nothing but that the server holds the key of its certificate. Like ngrok's
agents it offers no ALPN, and no SNI for an IP literal.
"""

import asyncio
import os
from functools import cache
from ipaddress import ip_address
from typing import Final

from OpenSSL import SSL, crypto

from enforcer.policy.model import Address

_READ_BYTES: Final = 16384
# A chain of the most that OpenSSL takes (100 KB) and what stands around it.
MAX_HANDSHAKE_BYTES: Final = 160 * 1024
# What agents offer up to TLS 1.2. Classic Diffie-Hellman is not among it, and would let
# a server choose numbers that keep the loop busy. At level 0 weak keys pass: they must
# reach our own check, which names them, and not end the handshake.
_CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:kRSA+AES:!PSK:!SRP:@SECLEVEL=0"
# OpenSSL's reasons for what is no certificate, or is the certificate of another's key.
_BAD_CERTIFICATE: Final = frozenset(
    {"ASN1 lib", "unable to find public key parameters", "bad signature"}
)


class ProbeError(Exception):
    """The certificates could not be seen; the message says why."""


class BadCertificateError(ProbeError):
    """What was presented cannot be read, or its key is not the server's."""


async def fetch_chain(address: Address, port: int, host: str) -> tuple[bytes, ...]:
    """The certificates (DER, leaf first) that ``address`` presents for ``host``.

    Raises ProbeError. The caller limits the time.
    """
    try:
        reader, writer = await asyncio.open_connection(str(address), port)
    except OSError as error:
        raise ProbeError(f"it cannot be reached: {_cause(error)}") from None
    try:
        chain = await _handshake(reader, writer, host)
        writer.close()
    except SSL.Error as error:
        reason = _reason(error)
        kind = BadCertificateError if reason in _BAD_CERTIFICATE else ProbeError
        raise kind(f"the TLS handshake failed: {reason}") from None
    except OSError as error:
        raise ProbeError(f"the connection broke: {_cause(error)}") from None
    finally:
        if not writer.is_closing():
            writer.transport.abort()
    return chain


async def _handshake(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
) -> tuple[bytes, ...]:
    connection = SSL.Connection(_probe_context(), None)
    if not _is_address(host):
        connection.set_tlsext_host_name(host.encode())
    connection.set_connect_state()
    received = 0
    while True:
        try:
            connection.do_handshake()
            break
        except SSL.WantReadError:
            pass
        finally:
            _flush(connection, writer)
        data = await reader.read(_READ_BYTES)
        received += len(data)
        if not data:
            raise ProbeError("the connection was closed during the handshake")
        if received > MAX_HANDSHAKE_BYTES:
            raise ProbeError(f"the handshake has more than {MAX_HANDSHAKE_BYTES} bytes")
        connection.bio_write(data)
    chain = connection.get_peer_cert_chain() or []
    return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, cert) for cert in chain)


def _flush(connection: SSL.Connection, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            data = connection.bio_read(_READ_BYTES)
            # uvloop raises for a connection that is gone; the next read tells in words.
            if not writer.is_closing():
                writer.write(data)
    except SSL.WantReadError:
        return


def _cause(error: OSError) -> str:
    """The system's word for it; asyncio puts the address in its place."""
    return os.strerror(error.errno) if error.errno else str(error)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own words: the last of the errors that it stacked."""
    match error.args:
        case ([*_, (_, _, str(reason))], *_) if reason:
            return reason
    return "the server ended it"


@cache
def _probe_context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_cipher_list(_CIPHERS)
    # Agents never renegotiate, so they talk to servers that know no safe way to.
    context.set_options(SSL.OP_LEGACY_SERVER_CONNECT)
    return context
