"""Clients that exhaust connections, request bodies or unread replies."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from edge.contract.contract import Contract, read
from edge.http.held_bytes import HeldBytes
from mesh.errors import ResourceExhausted, Unavailable
from tests.edge.backend import Backend, backend_of
from tests.edge.contracts import compile_image
from tests.edge.protocols.rest.contract import FEEDS, STREAMING
from tests.edge.served import Client, edge_of

GET: Final = "/v1/shelves/a/books/b"
HEAD: Final = "POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"
FLOODER: Final = "127.0.0.2"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def flood(client: Client, count: int, sent: bytes, address: str = FLOODER) -> AsyncIterator[list[Connection]]:
    """Opens connections from another address, each with this part of a request sent."""
    host, port = client.base_url.host, client.base_url.port or 0
    opened: list[Connection] = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection(sock=await connected(host, port, address), limit=4096)
            opened.append((reader, writer))
            with contextlib.suppress(ConnectionError):
                writer.write(sent)
                await asyncio.wait_for(writer.drain(), 1)
        yield opened
    finally:
        for _, writer in opened:
            writer.close()
        for _, writer in opened:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def connected(host: str, port: int, address: str) -> socket.socket:
    """Opens a connection from this address with a small receive buffer."""
    made = socket.socket()
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.bind((address, 0))
    await asyncio.get_running_loop().sock_connect(made, (host, port))
    return made


async def refusals(connections: list[Connection]) -> list[dict[str, Any]]:
    """Returns the errors that some of the connections received."""
    errors = []
    for connection in connections:
        with contextlib.suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            async with asyncio.timeout(0.01):
                errors.append(await refusal(connection))
    return errors


async def refusal(connection: Connection) -> dict[str, Any]:
    """Returns the error that a connection receives."""
    reader, _ = connection
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    error: dict[str, Any] = json.loads(await reader.readexactly(length))["error"]
    return error


async def test_incomplete_bodies_do_not_exhaust_calls(library: Contract, backend: Backend) -> None:
    """Any number of clients with an incomplete body leaves room for calls, because they are not calls yet."""
    async with (
        edge_of(library, backend.port, concurrent_requests_max=10) as client,
        flood(client, 300, HEAD.format(100).encode()),
    ):
        assert [(await client.get(GET)).status_code for _ in range(20)] == [200] * 20


async def test_bodies_have_a_budget_and_each_client_a_share(library: Contract, backend: Backend) -> None:
    """A client that exhausts its share gets an error, while others can send their bodies."""
    limits: dict[str, Any] = {"held_bytes_max": 1_600_000, "body_bytes_max": 200_000}
    async with edge_of(library, backend.port, **limits) as client:
        body = HEAD.format(150_000).encode() + b'{"text":"' + b"x" * 140_000
        async with flood(client, 10, body) as hogs:
            posted = [await client.post("/v1/echo", json={"text": "y" * 100_000}) for _ in range(3)]
            errors = await refusals(hogs)
    assert [response.status_code for response in posted] == [200] * 3
    assert len(errors) >= 7
    assert {error["code"] for error in errors} == {429}
    assert errors[0]["details"][0]["reason"] == "TOO_MANY_BYTES_AT_ONCE"


async def test_unread_replies_count(library: Contract, backend: Backend) -> None:
    """A client that does not read its large replies gets no more of them, but others do."""
    backend.replies(backend.message("library.v1.Book", json.dumps({"title": "x" * 6_000_000})))
    limits: dict[str, Any] = {"held_bytes_max": 32_000_000, "body_bytes_max": 200_000}
    request = f"GET {GET} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    async with edge_of(library, backend.port, **limits) as client, flood(client, 30, request) as hogs:
        others = [await client.get(GET) for _ in range(5)]
        heads = [await reader.readuntil(b"\r\n") for reader, _ in hogs]
    assert [response.status_code for response in others] == [200] * 5
    assert {head.split()[1] for head in heads} == {b"200", b"429"}


async def test_unread_downloads_count(tmp_path: Path) -> None:
    """A client that does not read its downloads gets no more of them, but others do."""
    feeds = read(compile_image(FEEDS, tmp_path))
    file = feeds.registry.message("google.api.HttpBody")
    assert file is not None
    piece = file.type(content_type="text/plain", data=bytes(100_000)).to_binary()

    async def stream(_: object, __: object) -> AsyncIterator[bytes]:
        for _number in range(100):
            yield piece

    request = b"GET /v1/files/a HTTP/1.1\r\nhost: x\r\n\r\n"
    limits: dict[str, Any] = {"held_bytes_max": 8_000_000, "body_bytes_max": 200_000}
    async with backend_of(feeds.registry, STREAMING) as source, edge_of(feeds, source.port, **limits) as client:
        source.stream = stream
        async with flood(client, 10, request) as hogs:
            other = await client.get("/v1/files/a")
            heads = [await reader.readuntil(b"\r\n") for reader, _ in hogs]
    assert (other.status_code, len(other.content)) == (200, 10_000_000)
    assert sorted(head.split()[1] for head in heads) == [b"200"] * 4 + [b"429"] * 6


async def test_unread_responses_count_while_the_client_sends(tmp_path: Path) -> None:
    """The next message of a client does not make room for those that it has not read."""
    feeds = read(compile_image(FEEDS, tmp_path))
    event = feeds.registry.message("feeds.v1.Event")
    assert event is not None
    large = event.type(text="x" * 100_000).to_binary()
    given = 0

    async def buffers_full() -> None:
        still, before = 0, given
        while still < 3:  # not after one pause in which nothing moved: the machine may be slow
            await asyncio.sleep(0.1)
            still, before = (still + 1 if given == before else 0), given

    async def stream(requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        nonlocal given
        await anext(requests)
        for _number in range(100):
            given += 1
            yield large

    head = (
        "POST /v1/tracks/a:chat HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked"
    )
    request = head.encode() + b"\r\n\r\n3\r\n{}\n\r\n"
    limits: dict[str, Any] = {"held_bytes_max": 8_000_000, "body_bytes_max": 200_000}
    async with backend_of(feeds.registry, STREAMING) as source, edge_of(feeds, source.port, **limits) as client:
        source.stream = stream
        heads = []
        async with AsyncExitStack() as stack:
            for _ in range(10):
                ((reader, writer),) = await stack.enter_async_context(flood(client, 1, request))
                heads.append((await reader.readuntil(b"\r\n")).split()[1])
                await buffers_full()
                writer.write(b"3\r\n{}\n\r\n")
                await asyncio.sleep(0.1)
    assert heads == [b"200"] * 4 + [b"429"] * 6


async def test_a_flood_of_connections_takes_none_of_another_client(library: Contract, backend: Backend) -> None:
    """Waiting connections are closed for new ones, those of the flooding client first."""
    async with edge_of(library, backend.port, connections_max=50) as client:
        assert (await client.get(GET)).status_code == 200
        async with flood(client, 120, b"GET / HTTP/1.1\r\n"):
            assert [(await client.get(GET)).status_code for _ in range(20)] == [200] * 20


async def test_a_connection_is_rejected_when_all_are_in_use(library: Contract, backend: Backend) -> None:
    """A connection beyond the limit gets a 503 in the common format; calls in progress are not cut off."""
    free = asyncio.Event()

    async def answer(_: object, __: object) -> bytes:
        await free.wait()
        return b""

    backend.answer = answer
    async with edge_of(library, backend.port, connections_max=2) as client:
        waiting = [asyncio.ensure_future(client.get(GET)) for _ in range(2)]
        while len(backend.calls) < 2:
            await asyncio.sleep(0.01)
        async with flood(client, 1, b"GET / HTTP/1.1\r\n") as one:
            error = await refusal(one[0])
        free.set()
        assert [response.status_code for response in await asyncio.gather(*waiting)] == [200, 200]
    assert (error["code"], error["details"][0]["reason"]) == (503, "OVERLOADED")


def test_the_budget_is_balanced() -> None:
    """Bytes are freed, also after a rejection, and a single holder of any size is admitted."""
    held = HeldBytes(100, 10)
    one, other = held.of("192.0.2.1"), held.of("192.0.2.2")
    with one, other:
        one.add(1000)
        with pytest.raises(Unavailable):
            other.add(1)
        one.set(25)
        with pytest.raises(ResourceExhausted):
            one.add(1)
        other.add(25)
        with pytest.raises(ResourceExhausted):
            held.of("192.0.2.1").add(1)
    with held.of("192.0.2.1") as again:
        again.add(25)
