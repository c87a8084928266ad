"""Streams are freed when they end, however they end, without the garbage collector."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest

from edge.call.response_reader import ResponseReader
from edge.http.http1_protocol import Http1Protocol
from edge.http.request import Request
from edge.http.websocket_protocol import WebSocketProtocol
from tests.edge.backend import Backend, Context
from tests.edge.protocols.websocket.test_websocket import CHAT, WATCH, closing, ends, opened
from tests.edge.served import Client
from tests.garbage import alive, settled

pytestmark = pytest.mark.usefixtures("no_collector")

KINDS = (Request, Http1Protocol, WebSocketProtocol, ResponseReader)
EVENTS = {"accept": "text/event-stream"}


async def events(reader: Client, source: Backend) -> None:
    """Reads a stream of events to its end."""
    source.stream = one_event(source)
    assert (await reader.get(WATCH, headers=EVENTS)).status_code == 200


async def failing_events(reader: Client, source: Backend) -> None:
    """Reads a stream of events that fails after the first."""
    ends(source, grpc.StatusCode.NOT_FOUND, "Gone.", event(source))
    assert b"Gone." in (await reader.get(WATCH, headers=EVENTS)).content


async def failing_stream(reader: Client, source: Backend) -> None:
    """Calls a stream that fails at once."""
    ends(source, grpc.StatusCode.NOT_FOUND, "Gone.")
    assert (await reader.get(WATCH)).status_code == 404


async def abandoned_events(reader: Client, source: Backend) -> None:
    """Leaves a stream of events after the first."""
    source.stream = one_event(source, then_waits=True)
    async with reader.stream("GET", WATCH, headers=EVENTS) as response:
        await anext(response.aiter_bytes())


async def invalid_requests(reader: Client, source: Backend) -> None:
    """Sends a stream whose second message is invalid."""
    lines = b'{"number": 1}\n{"unknown": 2}\n'
    headers = {"content-type": "application/x-ndjson"}
    assert (await reader.post("/v1/tracks/a/points", content=lines, headers=headers)).status_code == 400


async def chat(reader: Client, source: Backend) -> None:
    """Ends a WebSocket in an orderly way."""
    async with opened(reader, CHAT) as socket:
        await socket.send('{"number": 1}')
        await socket.recv()
        await socket.send("")
        assert (await closing(socket))[0] == 1000


async def invalid_chat(reader: Client, source: Backend) -> None:
    """Sends an invalid message over a WebSocket."""
    async with opened(reader, CHAT) as socket:
        await socket.send('{"unknown": 1}')
        assert (await closing(socket))[0] != 1000


async def abandoned_chat(reader: Client, source: Backend) -> None:
    """Breaks a WebSocket in the middle of a message."""
    async with opened(reader, CHAT) as socket:
        await socket.send('{"number": 1}')
        await socket.recv()
        socket.transport.write(b"\x81\xfe\x27\x10mask" + bytes(5000))
        socket.transport.abort()


def event(source: Backend) -> bytes:
    """Returns an event."""
    return source.message("feeds.v1.Event", '{"number": 1}').to_binary()


def one_event(
    source: Backend, *, then_waits: bool = False
) -> Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]]:
    """Returns a stream of one event, which ends after it or waits for its end."""

    async def stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        yield event(source)
        if then_waits:
            await asyncio.sleep(60)

    return stream


@pytest.mark.parametrize(
    "use",
    [events, failing_events, failing_stream, abandoned_events, invalid_requests, chat, invalid_chat, abandoned_chat],
)
async def test_a_stream_is_freed(
    reader: Client, source: Backend, use: Callable[[Client, Backend], Awaitable[None]]
) -> None:
    """So is all that its errors and its tasks refer to."""
    await use(reader, source)
    await asyncio.sleep(0.1)
    before = alive(*KINDS)
    for _ in range(5):
        await use(reader, source)
    assert await settled(before, *KINDS) <= before
