"""An ngrok-shaped edge: TLS, muxado, Auth, Bind, Unbind, SrvInfo, heartbeat and Proxy.

    python edge.py --listen 203.0.113.10:443 --certificates map.json --log sessions.jsonl

The map is {sni: {"chain": path, "key": path}}, "*" for every other name and for none, and
is read again for each connection, so that a test can swap a certificate under a running
edge. ``--endpoints`` is the public side: an HTTP request there goes to the agent that
bound the endpoint named by its Host. The log has a JSON line for each thing that happens
to a session, and never an authtoken.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import ssl
import struct
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import muxado

AUTH, BIND, UNBIND, PROXY = 0, 1, 2, 3
SRV_INFO = 8
HEARTBEAT = 0xFFFFFFFF
MAX_RPC_BYTES = 1 << 20
MAX_HEAD_BYTES = 1 << 16
ENDPOINT_DOMAIN = "ngrok-free.app"


class Log:
    """JSON lines, flushed one by one since tests read along."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, event: str, **facts: Any) -> None:
        line = {"event": event, "time": time.time(), **facts}
        print(json.dumps(line), file=self._file, flush=True)


class Certificates:
    """Chooses the certificate by SNI."""

    def __init__(self, path: Path, log: Log) -> None:
        self._path = path
        self._log = log

    def context(self) -> ssl.SSLContext:
        context = self._load("*")
        context.sni_callback = self._choose
        return context

    def _choose(self, tls: Any, sni: str | None, _context: ssl.SSLContext) -> None:
        self._log.write("hello", sni=sni or "")
        tls.sni = sni or ""
        tls.context = self._load(sni or "*")

    def _load(self, sni: str) -> ssl.SSLContext:
        entries = json.loads(self._path.read_text(encoding="utf-8"))
        entry = entries.get(sni, entries["*"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(entry["chain"], entry["key"])
        return context


class AgentSession:
    """What one agent asks of the edge, and what the edge pushes to it."""

    def __init__(self, edge: "Edge", number: int) -> None:
        self._edge = edge
        self._number = number
        self._hosts: dict[str, str] = {}
        self.mux: muxado.Session

    def log(self, event: str, **facts: Any) -> None:
        self._edge.log.write(event, session=self._number, **facts)

    async def serve(self, stream: muxado.Stream) -> None:
        """Answer one stream that the agent opened."""
        kind = struct.unpack(">I", await stream.reader.readexactly(4))[0]
        if kind == HEARTBEAT:
            while True:
                await stream.write(await stream.reader.readexactly(4))
        request = await _read_json(stream.reader)
        handlers = {AUTH: self._auth, BIND: self._bind, UNBIND: self._unbind, SRV_INFO: _srv_info}
        reply = handlers.get(kind, _unknown)(request)
        await stream.write(json.dumps(reply).encode(), fin=True)

    def _auth(self, request: dict[str, Any]) -> dict[str, Any]:
        extra = request.get("Extra") or {}
        # Rust and Go spell it differently.
        accepted = bool(extra.get("AuthToken") or extra.get("Authtoken"))
        self.log("auth", ok=accepted, user_agent=extra.get("UserAgent", ""))
        return {
            "Version": "3",
            "ClientId": f"client-{self._number}" if accepted else "",
            "Error": "" if accepted else "The authtoken is empty.\r\n\r\nERR_NGROK_107\r\n",
            "Extra": {"Version": "edge", "Region": "us", "AccountName": "lab"},
        }

    def _bind(self, request: dict[str, Any]) -> dict[str, Any]:
        bind_id = self._edge.new_id()
        proto = request.get("Proto", "")
        host = f"{bind_id}.{ENDPOINT_DOMAIN}"
        url = f"{proto}://{host}"
        self._hosts[bind_id] = host
        self._edge.endpoints[host] = (self, bind_id)
        self.log("bind", id=bind_id, url=url, proto=proto)
        return {
            "Id": bind_id,
            "URL": url,
            "Proto": proto,
            "Opts": request.get("Opts") or {},
            "Error": "",
            "Extra": {"Token": "x", "TunnelID": ""},
        }

    def _unbind(self, request: dict[str, Any]) -> dict[str, Any]:
        bind_id = request.get("Id", "")
        self._edge.endpoints.pop(self._hosts.pop(bind_id, ""), None)
        self.log("unbind", id=bind_id)
        return {"Error": "", "Extra": None}

    async def open_proxy(self, bind_id: str, client: str) -> muxado.Stream:
        """A stream to the endpoint's upstream; raw bytes follow its header."""
        header = {
            "Id": bind_id,
            "ClientAddr": client,
            "Proto": "http",
            "EdgeType": "0",
            "PassthroughTLS": False,
        }
        body = json.dumps(header).encode()
        stream = self.mux.open_stream()
        await stream.write(struct.pack(">I", PROXY) + struct.pack("<q", len(body)) + body)
        return stream

    def end(self) -> None:
        for host in self._hosts.values():
            self._edge.endpoints.pop(host, None)
        self.log("end")


class Edge:
    """The agents' side and the public side, and what binds them."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.endpoints: dict[str, tuple[AgentSession, str]] = {}
        self._numbers = itertools.count(1)
        self._ids = itertools.count(1)

    def new_id(self) -> str:
        return f"lab-{next(self._ids)}"

    async def serve_agent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection is a session from its first byte on: a probe sends none."""
        session = AgentSession(self, next(self._numbers))
        sni = writer.get_extra_info("ssl_object").sni
        session.log("connection", sni=sni, client=_peer(writer))
        try:
            first_bytes = await reader.read(1)
            if first_bytes:
                session.log("session", sni=sni, client=_peer(writer))
                session.mux = muxado.Session(reader, writer, session.serve)
                await session.mux.run(first_bytes)
        except OSError as error:
            session.log("broken", error=str(error))
        finally:
            session.end()
            await _close(writer)

    async def serve_public(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Hand one HTTP request to the endpoint that its Host names, and its response back."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            endpoint = self.endpoints.get(_host(head))
            if endpoint is None:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            else:
                session, bind_id = endpoint
                stream = await session.open_proxy(bind_id, _peer(writer))
                await stream.write(head)
                async with asyncio.TaskGroup() as tasks:
                    upload = tasks.create_task(_upload(reader, stream))
                    while data := await stream.reader.read(muxado.MAX_FRAME_BYTES):
                        writer.write(data)
                        await writer.drain()
                    upload.cancel()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            self.log.write("public", error=str(error))
        finally:
            await _close(writer)


async def _read_json(reader: asyncio.StreamReader) -> dict[str, Any]:
    """One JSON value with no length before it and no end of stream behind it."""
    text = b""
    while len(text) < MAX_RPC_BYTES:
        piece = await reader.read(4096)
        if not piece:
            break
        text += piece
        with contextlib.suppress(ValueError):
            value, _ = json.JSONDecoder().raw_decode(text.decode().lstrip())
            return value
    raise asyncio.IncompleteReadError(text, None)


def _srv_info(_request: dict[str, Any]) -> dict[str, Any]:
    return {"Region": "us"}


def _unknown(_request: dict[str, Any]) -> dict[str, Any]:
    return {"Error": "This edge does not know that request."}


async def _upload(reader: asyncio.StreamReader, stream: muxado.Stream) -> None:
    while data := await reader.read(muxado.MAX_FRAME_BYTES):
        await stream.write(data)
    await stream.write(b"", fin=True)


def _host(head: bytes) -> str:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"host":
            return value.strip().decode("latin-1").partition(":")[0].lower()
    return ""


def _peer(writer: asyncio.StreamWriter) -> str:
    host, port = writer.get_extra_info("peername")[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


async def serve(arguments: argparse.Namespace, log: Log) -> None:
    edge = Edge(log)
    context = Certificates(arguments.certificates, log).context()
    for host, port in arguments.listen:
        await asyncio.start_server(edge.serve_agent, host, port, ssl=context)
    for host, port in arguments.endpoints:
        await asyncio.start_server(edge.serve_public, host, port, limit=MAX_HEAD_BYTES)
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", action="append", type=_address, required=True)
    parser.add_argument("--endpoints", action="append", type=_address, default=[])
    parser.add_argument("--certificates", type=Path, required=True)
    parser.add_argument("--log", type=argparse.FileType("a"), default=sys.stderr)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments, Log(arguments.log)))


if __name__ == "__main__":
    main()
