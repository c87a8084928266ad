"""Streams through the edge, and through Envoy's transcoder if its wheel is installed: memory for each of 10,000 open
server-sent event streams, memory during the upload and download of a gigabyte, CPU time for each message.

Run it as `make bench-streams`. Both call the same backend and are measured in turn, as the operating system accounts
them.
"""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.feeds import PIECE_BYTES, compile_image
from benchmarks.program import cpu_s, fronts, printed_port, program
from local.ports import free_ports

STREAMS: Final = int(os.environ.get("STREAMS", "10000"))
STREAMS_FIRST: Final = 1000  # the memory of the first streams is the process's own: pools, caches, code
FILE_PIECES: Final = int(os.environ.get("FILE_MB", "1024")) * 1024 * 1024 // PIECE_BYTES
MESSAGES: Final = 1000
ROUNDS: Final = 5
RUNS: Final = 20
MB: Final = 1e6

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def main() -> None:
    """Prints the figures of each program."""
    with tempfile.TemporaryDirectory() as folder:
        image = compile_image(Path(folder))
        with program("-m", "benchmarks.feeds", stdout=subprocess.PIPE) as backend:
            upstream, (port,) = printed_port(backend), free_ports(1)
            for name, command in fronts(image, upstream, port, Path(folder)).items():
                with program(*command) as front:
                    asyncio.run(measure(name, psutil.Process(front.pid), port))


async def measure(name: str, front: psutil.Process, port: int) -> None:
    """Prints the figures of one program."""
    await ready(port)
    print(name)
    rounds = [await messages(front, port) for _ in range(ROUNDS)]
    spread = f"({min(rounds):.1f} to {max(rounds):.1f})"
    print(f"  {statistics.median(rounds):8.1f} µs CPU a message, in streams of {MESSAGES} {spread}")
    for what, transfer in (("up", upload), ("down", download)):
        await transfer(port, 64)
        grown, seconds, cpu = await watched(front, transfer(port, FILE_PIECES))
        size = FILE_PIECES * PIECE_BYTES / MB
        print(f"  {grown / MB:8.1f} MB more memory while {size:.0f} MB go {what}, in {seconds:.1f} s, {cpu:.1f} s CPU")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(open_streams(port, STREAMS_FIRST))
        first = front.memory_info().rss
        await stack.enter_async_context(open_streams(port, STREAMS - STREAMS_FIRST))
        all_open = front.memory_info().rss
        print(f"  {(all_open - first) / (STREAMS - STREAMS_FIRST) / 1000:8.1f} kB a stream, {STREAMS} open")
        await asyncio.sleep(20)
        print(f"  {(front.memory_info().rss - all_open) / STREAMS / 1000:8.1f} kB more a stream 20 s later")


async def ready(port: int) -> None:
    """Waits until the program responds."""
    for _ in range(300):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            _, writer = await request(port, "/v1/events/1", "application/json")
            writer.close()
            return
        await asyncio.sleep(0.1)
    sys.exit("It does not answer.")


async def request(port: int, path: str, accept: str) -> Connection:
    """Sends a GET request and reads the head of the reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit(head.decode())
    return reader, writer


@contextlib.asynccontextmanager
async def open_streams(port: int, count: int) -> AsyncIterator[None]:
    """Keeps this number of event streams open during the block. Each has received its first event."""
    gate = asyncio.Semaphore(100)

    async def one() -> Connection:
        async with gate:
            reader, writer = await request(port, "/v1/events/0", "text/event-stream")
            await reader.readuntil(b"data: {")
            return reader, writer

    connections = await asyncio.gather(*(one() for _ in range(count)))
    try:
        yield
    finally:
        for _, writer in connections:
            writer.close()


async def messages(front: psutil.Process, port: int) -> float:
    """Returns the CPU time per message of a stream, in microseconds."""

    async def one() -> None:
        reader, writer = await request(port, f"/v1/events/{MESSAGES}", "text/event-stream")
        count = 0
        while count < MESSAGES:
            count += (await reader.read(65_536)).count(b'data: {"text')
        writer.close()

    await one()
    before = cpu_s(front)
    for _ in range(RUNS):
        await one()
    return (cpu_s(front) - before) / RUNS / MESSAGES * 1e6


async def download(port: int, pieces: int) -> None:
    """Downloads a file with this number of pieces."""
    reader, writer = await request(port, f"/v1/files/{pieces}", "*/*")
    left = pieces * PIECE_BYTES
    while left > 0:
        left -= len(await reader.read(1 << 20))
    writer.close()


async def upload(port: int, pieces: int) -> None:
    """Uploads a file with this number of pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    length = pieces * PIECE_BYTES
    writer.write(
        f"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: video/mp4\r\ncontent-length: {length}\r\n\r\n".encode()
    )
    piece = bytes(PIECE_BYTES)
    for _ in range(pieces):
        writer.write(piece)
        await writer.drain()
    reply = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    if not reply.startswith(b"HTTP/1.1 200"):
        sys.exit(reply.decode())


async def watched(front: psutil.Process, doing: Any) -> tuple[int, float, float]:
    """Awaits `doing`. Returns the peak growth of a process's memory in bytes, the seconds, and its CPU seconds."""
    before, cpu_before, begun = front.memory_info().rss, cpu_s(front), time.monotonic()
    most = before
    task = asyncio.ensure_future(doing)
    while not task.done():
        most = max(most, front.memory_info().rss)
        await asyncio.wait([task], timeout=0.02)
    await task
    return most - before, time.monotonic() - begun, cpu_s(front) - cpu_before


if __name__ == "__main__":
    main()
