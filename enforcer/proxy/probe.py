"""One TLS handshake, to see which certificates an address presents for a name.

Verifies nothing. Like ngrok's agents it offers no ALPN.
"""

import asyncio
from functools import lru_cache

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from enforcer.policy.model import Address

_READ_BYTES = 16384


class ProbeError(Exception):
    """The certificates could not be seen; the message says why."""


async def fetch_chain(address: Address, port: int, host: str) -> tuple[bytes, ...]:
    """The certificates (DER, leaf first) that ``address`` presents for ``host``.

    Raises ProbeError. The caller limits the time.
    """
    try:
        return await _handshake(address, port, host)
    except SSL.Error:
        raise ProbeError("the TLS handshake failed") from None
    except OSError as error:
        raise ProbeError(error.strerror or str(error)) from None


async def _handshake(address: Address, port: int, host: str) -> tuple[bytes, ...]:
    reader, writer = await asyncio.open_connection(str(address), port)
    try:
        connection = SSL.Connection(_probe_context(), None)
        connection.set_tlsext_host_name(host.encode())
        connection.set_connect_state()
        while True:
            try:
                connection.do_handshake()
                break
            except SSL.WantReadError:
                _flush(connection, writer)
                data = await reader.read(_READ_BYTES)
                if not data:
                    raise ProbeError("the connection was closed during the handshake") from None
                connection.bio_write(data)
        chain = connection.get_peer_cert_chain() or []
        return tuple(cert.to_cryptography().public_bytes(Encoding.DER) for cert in chain)
    finally:
        writer.transport.abort()


def _flush(connection: SSL.Connection, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            writer.write(connection.bio_read(_READ_BYTES))
    except SSL.WantReadError:
        return


@lru_cache(maxsize=1)
def _probe_context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_NONE)
    # Weak keys must reach our own check, which names them, and not end the handshake.
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    return context
