"""A load of HTTP requests from a process of its own, so that its CPU time is not counted with the servers'.

With a rate the load is open-loop: each request has its moment, and its latency counts from then, however many others
wait, so that a slow server does not hide its latency by slowing the load. Without one each connection sends its next
request when the last one is answered.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from tempfile import TemporaryFile
from typing import Any, Self

MODULE = "benchmarks.http_load"
_BUFFER_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Load:
    """Some requests for one server, over keep-alive connections. `rate` is in requests per second. Without
    `keep_bodies` the answers have no bodies, so that large ones cost the load little.
    """

    port: int
    requests: Sequence[str]
    connections: int
    rate: float | None = None
    keep_bodies: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request. `due_at` is when it had to be sent, in seconds since the epoch."""

    status: int
    body: str
    due_at: float
    latency_s: float


class Connection:
    """A keep-alive connection, with one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Self]:
        """Opens a connection to a port of this machine, and closes it at the end of the block."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_BUFFER_BYTES)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Sends a request, and returns the status and the body of its response."""
        self._writer.write(request)
        status, length = parse_head(await self._reader.readuntil(b"\r\n\r\n"))
        return status, await self._reader.readexactly(length)


def parse_head(head: bytes) -> tuple[int, int]:
    """Returns the status and the content length in the head of a response, which must tell its length."""
    status_line, *headers = head.split(b"\r\n")
    for header in headers:
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            return int(status_line.split(b" ", 2)[1]), int(value)
    raise ValueError(f"a response without a content-length: {head!r}")


def request(method: str, path: str, headers: dict[str, str], body: Any = None) -> str:
    """Returns a request as HTTP/1.1 writes it, with a body of JSON if there is one."""
    content = "" if body is None else json.dumps(body)
    own = {} if body is None else {"content-type": "application/json", "content-length": str(len(content))}
    fields = "".join(f"{name}: {value}\r\n" for name, value in ({"host": "shop"} | headers | own).items())
    return f"{method} {path} HTTP/1.1\r\n{fields}\r\n{content}"


async def apply(load: Load) -> list[Answer]:
    """Applies a load from this process."""
    due_at = moments(len(load.requests), load.rate)
    numbered = iter(enumerate(load.requests))
    answers: list[Answer] = []
    await asyncio.gather(*(_work(load, numbered, due_at, answers) for _ in range(load.connections)))
    return answers


async def _work(
    load: Load, numbered: Iterator[tuple[int, str]], due_at: Sequence[float] | None, answers: list[Answer]
) -> None:
    async with Connection.open(load.port) as connection:
        for number, text in numbered:  # shared by all connections
            due = time.time() if due_at is None else due_at[number]
            await asyncio.sleep(max(0, due - time.time()))
            status, body = await connection.send(text.encode())
            latency_s = time.time() - due
            answers.append(Answer(status, body.decode() if load.keep_bodies else "", due, latency_s))


def moments(count: int, rate: float | None) -> Sequence[float] | None:
    """Returns when each request has to be sent, None if each follows an answer."""
    if rate is None:
        return None
    begin = time.time() + 0.1
    return [begin + number / rate for number in range(count)]


async def apply_apart(load: Load) -> list[Answer]:
    """Applies a load from another process."""
    with TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", MODULE), stdin=asyncio.subprocess.PIPE, stdout=output
        )
        await process.communicate(json.dumps(asdict(load)).encode())
        if process.returncode != 0:
            raise SystemExit("The load failed.")
        output.seek(0)
        return [Answer(**answer) for answer in json.load(output)]


if __name__ == "__main__":
    import uvloop

    print(json.dumps([asdict(answer) for answer in uvloop.run(apply(Load(**json.load(sys.stdin))))]))
