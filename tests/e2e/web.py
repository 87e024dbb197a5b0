"""An ordinary site: one page over TLS and in the clear, and ngrok's CRL beside it.

python web.py --tls 203.0.113.80:443 --http 203.0.113.10:80 --chain c.pem --key c.key
"""

import argparse
import asyncio
import contextlib
import ssl

PAGES = {
    b"/": b"an ordinary site\n",
    # What counts is that these bytes arrive as they are, not that they are a CRL.
    b"/ngrok.crl": bytes(range(256)) * 4,
}


async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        head = await reader.readuntil(b"\r\n\r\n")
        body = PAGES.get(head.split(b" ")[1].partition(b"?")[0])
        status = "404 Not Found" if body is None else "200 OK"
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body or b'')}", "Connection: close"]
        writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


async def serve(arguments: argparse.Namespace) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.chain, arguments.key)
    for host, port in arguments.tls:
        await asyncio.start_server(serve_one, host, port, ssl=context)
    for host, port in arguments.http:
        await asyncio.start_server(serve_one, host, port)
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tls", action="append", type=address, default=[])
    parser.add_argument("--http", action="append", type=address, default=[])
    parser.add_argument("--chain", required=True)
    parser.add_argument("--key", required=True)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
