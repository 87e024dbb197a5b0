"""ClientHellos for tests: put together field by field, or by a real TLS client."""

import ssl


def vector(body, width=2):
    return len(body).to_bytes(width, "big") + body


def extension(kind, body):
    return kind.to_bytes(2, "big") + vector(body)


def server_name(host, kind=0):
    return extension(0, vector(bytes([kind]) + vector(host)))


def alpn(*protocols):
    return extension(16, vector(b"".join(vector(p, 1) for p in protocols)))


def supported_versions(*versions):
    return extension(43, vector(b"".join(v.to_bytes(2, "big") for v in versions), 1))


def message(
    *extensions,
    legacy_version=0x0303,
    session_id=b"",
    suites=b"\x13\x01",
    compression=b"\0",
    after=b"",
):
    """The handshake message; without extensions, as old clients send it."""
    body = legacy_version.to_bytes(2, "big") + bytes(32)
    body += vector(session_id, 1) + vector(suites) + vector(compression, 1)
    if extensions:
        body += vector(b"".join(extensions))
    return b"\x01" + vector(body + after, 3)


def records(handshake, sizes=()):
    """The message in records of these sizes, the last of which repeats."""
    sent, at = b"", 0
    sizes = list(sizes) or [16384]
    while at < len(handshake):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        sent += b"\x16\x03\x01" + vector(handshake[at : at + size])
        at += size
    return sent


def hello(*extensions, sizes=(), **fields):
    return records(message(*extensions, **fields), sizes)


def real_hello(host, protocols=(), maximum=None):
    """What OpenSSL sends, by way of Python's ssl."""
    context = ssl.create_default_context()
    # Debian's Python 3.11 offers older versions too.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if maximum:
        context.maximum_version = maximum
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=host)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake cannot end without a server")


def agent_hello(host=b"connect.example.com"):
    """The shape that the ngrok agent SDK 1.4.0 (rustls) sends: no ALPN, these extensions."""
    return hello(
        supported_versions(0x0304, 0x0303),
        extension(11, b"\x01\x00"),
        extension(10, vector(bytes.fromhex("001d00170018"))),
        extension(13, vector(bytes.fromhex("050304030807080608050804060105010401"))),
        extension(23, b""),
        extension(5, b"\x01\0\0\0\0"),
        server_name(host),
        extension(51, vector(b"\x00\x1d" + vector(bytes(32)))),
        extension(45, b"\x01\x01"),
        extension(35, b""),
        session_id=bytes(32),
        suites=bytes.fromhex("130213011303c02cc02bcca9c030c02fcca800ff"),
    )
