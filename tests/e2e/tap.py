"""A relay that writes down every byte it passes on, each connection and direction apart.

    python tap.py 127.0.0.1:443 203.0.113.66:443 DIRECTORY

DIRECTORY/1.sent is what the first client sent, DIRECTORY/1.received what it got back.
"""

import asyncio
import contextlib
import itertools
import sys
from pathlib import Path

PIECE_BYTES = 65536


class Tap:
    """``target`` is dialled once per connection."""

    def __init__(self, target: tuple[str, int], directory: Path) -> None:
        self._target = target
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
                tasks.create_task(relay(reader, onward_writer, sent))
                tasks.create_task(relay(onward_reader, writer, received))
        writer.close()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, file: Path) -> None:
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as log:
        while data := await reader.read(PIECE_BYTES):
            log.write(data)
            writer.write(data)
            await writer.drain()
    writer.close()


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


async def main() -> None:
    listen, target, directory = sys.argv[1:]
    tap = Tap(address(target), Path(directory))
    await asyncio.start_server(tap.serve, *address(listen))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
