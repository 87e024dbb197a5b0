"""A real ngrok agent: the SDK from PyPI, told where its ingress is.

    python agent.py connect.example.com:443 --ca ngrok-root.pem [--hold]

Connects, binds an HTTP endpoint whose upstream says hello, and prints one JSON line:
connected, url, error, seconds. With --hold it stays until its standard input ends.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path

import ngrok

AUTHTOKEN = "2lab_notASecretButNeverLoggedAllTheSame"
GREETING = b"hello from behind the agent"


async def say_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(GREETING)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + GREETING)
    await writer.drain()
    writer.close()


async def connect(server_addr: str, ca_pem: bytes, upstream_port: int) -> tuple[object, str]:
    builder = ngrok.SessionBuilder().authtoken(AUTHTOKEN).server_addr(server_addr)
    session = await builder.ca_cert(bytearray(ca_pem)).connect()
    listener = await session.http_endpoint().scheme("http").listen()
    listener.forward(f"http://127.0.0.1:{upstream_port}")
    return session, listener.url()


async def run(arguments: argparse.Namespace) -> None:
    upstream = await asyncio.start_server(say_hello, "127.0.0.1", 0)
    port = upstream.sockets[0].getsockname()[1]
    result = {"connected": False, "url": "", "error": ""}
    started_s = time.monotonic()
    session = None
    try:
        async with asyncio.timeout(arguments.timeout):
            ca_pem = arguments.ca.read_bytes()
            session, result["url"] = await connect(arguments.server_addr, ca_pem, port)
        result["connected"] = True
    except TimeoutError:
        result["error"] = f"nothing happened within {arguments.timeout} s"
    except ValueError as error:
        result["error"] = ": ".join(str(part) for part in error.args)
    result["seconds"] = round(time.monotonic() - started_s, 3)
    print(json.dumps(result), flush=True)
    if session is not None:
        if arguments.hold:
            await asyncio.to_thread(sys.stdin.read)
        await session.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("server_addr")
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--timeout", type=float, default=10)
    asyncio.run(run(parser.parse_args()))
    # The SDK's threads go on, and may touch an interpreter that is being torn down.
    os._exit(0)


if __name__ == "__main__":
    main()
