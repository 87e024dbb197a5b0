"""A relay that writes down every byte it passes on, each connection and direction apart.

    python tap.py 127.0.0.1:443 203.0.113.66:443 DIRECTORY [PIECE_BYTES]

DIRECTORY/1.sent is what the first client sent, DIRECTORY/1.received what it got back.
What clients send is passed on in pieces of at most PIECE_BYTES, each a segment.
"""

import asyncio
import contextlib
import itertools
import sys
from pathlib import Path

READ_BYTES = 65536


class Tap:
    """``target`` is dialled once per connection."""

    def __init__(self, target: tuple[str, int], directory: Path, piece_bytes: int) -> None:
        self._target = target
        self._piece_bytes = piece_bytes
        self._directory = directory
        self._numbers = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._numbers)
        sent, received = (
            self._directory / f"{number}.{direction}" for direction in ("sent", "received")
        )
        for file in (sent, received):
            file.touch()
        with contextlib.suppress(OSError):
            onward_reader, onward_writer = await asyncio.open_connection(*self._target)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(relay(reader, onward_writer, sent, self._piece_bytes))
                tasks.create_task(relay(onward_reader, writer, received, READ_BYTES))
        writer.close()


async def relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, file: Path, piece_bytes: int
) -> None:
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as log:
        while data := await reader.read(READ_BYTES):
            log.write(data)
            for at in range(0, len(data), piece_bytes):
                # asyncio sets TCP_NODELAY, so each write leaves at once.
                writer.write(data[at : at + piece_bytes])
                await writer.drain()
                await asyncio.sleep(0)
    writer.close()


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


async def main() -> None:
    listen, target, directory, *piece_bytes = sys.argv[1:]
    tap = Tap(address(target), Path(directory), int(*piece_bytes) or READ_BYTES)
    await asyncio.start_server(tap.serve, *address(listen))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
