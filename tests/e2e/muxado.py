"""The multiplexer under ngrok's session protocol, server side, over asyncio streams.

Frames are eight bytes of header (u24 length, u4 type, u4 flags, u32 stream) and a body.
Streams opened by a client are odd, ours are even. There is no preface and no handshake.
"""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable

RST, DATA, WNDINC, GOAWAY = range(4)
FIN, SYN = 0x1, 0x2
HEADER_BYTES = 8
INITIAL_WINDOW_BYTES = 0x40000
MAX_FRAME_BYTES = 0x4000


def build_frame(kind: int, flags: int, stream_id: int, body: bytes = b"") -> bytes:
    return struct.pack(">II", len(body) << 8 | kind << 4 | flags, stream_id) + body


class Stream:
    """One stream: read it through ``reader``, write to it with ``write``."""

    def __init__(self, session: "Session", stream_id: int) -> None:
        self.id = stream_id
        self.reader = asyncio.StreamReader()
        self._session = session
        self._window = INITIAL_WINDOW_BYTES
        self._window_opened = asyncio.Event()
        self._flags = 0
        self._closed = False

    @classmethod
    def opening(cls, session: "Session", stream_id: int) -> "Stream":
        """A stream of ours, which the first write opens."""
        stream = cls(session, stream_id)
        stream._flags = SYN
        return stream

    async def write(self, data: bytes, *, fin: bool = False) -> None:
        """Send ``data`` as the peer's window allows; ``fin`` closes our half."""
        while len(data) > 0 or fin:
            while data and self._window == 0 and not self._closed:
                self._window_opened.clear()
                await self._window_opened.wait()
            if self._closed:
                raise ConnectionResetError(f"stream {self.id} is closed")
            size = min(len(data), self._window, MAX_FRAME_BYTES)
            piece, data = data[:size], data[size:]
            self._window -= size
            flags, self._flags = self._flags, 0
            last = fin and not data
            await self._session.send(DATA, flags | (FIN if last else 0), self.id, piece)
            if last:
                return

    def receive(self, body: bytes, *, fin: bool) -> None:
        self.reader.feed_data(body)
        if fin:
            self.reader.feed_eof()

    def widen(self, increment: int) -> None:
        self._window += increment
        self._window_opened.set()

    def abandon(self) -> None:
        """The peer reset the stream, or the whole session is gone."""
        self._closed = True
        self._window_opened.set()
        self.reader.feed_eof()


class Session:
    """All streams of one connection. ``serve`` is called for each stream that a client opens."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        serve: Callable[[Stream], Awaitable[None]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._serve = serve
        self._streams: dict[int, Stream] = {}
        self._next_id = 2
        self._first_bytes = b""

    def open_stream(self) -> Stream:
        stream = Stream.opening(self, self._next_id)
        self._streams[stream.id] = stream
        self._next_id += 2
        return stream

    async def send(self, kind: int, flags: int, stream_id: int, body: bytes = b"") -> None:
        self._writer.write(build_frame(kind, flags, stream_id, body))
        await self._writer.drain()

    async def run(self, first_bytes: bytes) -> None:
        """Serve the connection until either side ends it; ``first_bytes`` were read already."""
        self._first_bytes = first_bytes
        async with asyncio.TaskGroup() as tasks:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                while await self._receive_frame(tasks):
                    pass
            for stream in self._streams.values():
                stream.abandon()

    async def _receive_frame(self, tasks: asyncio.TaskGroup) -> bool:
        first, self._first_bytes = self._first_bytes, b""
        rest = await self._reader.readexactly(HEADER_BYTES - len(first))
        head, stream_id = struct.unpack(">II", first + rest)
        length, kind, flags = head >> 8, head >> 4 & 0xF, head & 0xF
        body = await self._reader.readexactly(length)
        if kind == GOAWAY:
            return False
        if kind == DATA and flags & SYN:
            stream = self._streams[stream_id] = Stream(self, stream_id)
            tasks.create_task(self._serve_quietly(stream))
        stream = self._streams.get(stream_id)
        if stream is None:
            return True
        if kind == DATA:
            stream.receive(body, fin=bool(flags & FIN))
            # The whole body is held in memory, so the window opens again at once.
            if body:
                await self.send(WNDINC, 0, stream_id, struct.pack(">I", len(body)))
        elif kind == WNDINC:
            stream.widen(struct.unpack(">I", body)[0])
        elif kind == RST:
            stream.abandon()
            del self._streams[stream_id]
        return True

    async def _serve_quietly(self, stream: Stream) -> None:
        """A stream that ends early is the client's choice, and no fault of the session."""
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await self._serve(stream)
