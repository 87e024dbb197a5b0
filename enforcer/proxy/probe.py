"""One TLS handshake, to see which certificates an address presents for a name.

Verifies nothing but that the server holds the key of its certificate. Like ngrok's
agents it offers no ALPN, and no SNI for an IP literal.
"""

import asyncio
from functools import cache
from ipaddress import ip_address
from typing import Final

from OpenSSL import SSL, crypto

from enforcer.policy.model import Address

_READ_BYTES: Final = 16384
# A chain of the most that OpenSSL takes (100 KB) and what stands around it.
MAX_HANDSHAKE_BYTES: Final = 160 * 1024
# Errors that OpenSSL raises in a library of its own, when a certificate is no certificate.
_CERTIFICATE_LIBRARIES: Final = frozenset(
    {"asn1 encoding routines", "x509 certificate routines", "rsa routines"}
)


class ProbeError(Exception):
    """The certificates could not be seen; the message says why."""


async def fetch_chain(address: Address, port: int, host: str) -> tuple[bytes, ...]:
    """The certificates (DER, leaf first) that ``address`` presents for ``host``.

    Raises ProbeError. The caller limits the time.
    """
    try:
        reader, writer = await asyncio.open_connection(str(address), port)
    except OSError as error:
        raise ProbeError(f"it cannot be reached: {error.strerror or error}") from None
    try:
        return await _handshake(reader, writer, host)
    except SSL.Error as error:
        raise ProbeError(f"the TLS handshake failed: {_say(error)}") from None
    except OSError as error:
        raise ProbeError(f"the connection broke: {error.strerror or error}") from None
    finally:
        writer.transport.abort()


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
