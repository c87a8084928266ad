"""A service of typed streams behind the edge: every kind by REST, and a stream that continues on another server."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, Final

import pytest
from websockets.asyncio.client import connect

from edge.contract.contract import read
from tests.edge.contracts import compile_image
from tests.edge.served import Client, edge_of
from tests.issuer import Issuer
from tests.mesh.conftest import greeter, issuer
from tests.mesh.greeter import GREETER
from tests.mesh.stream_service import Streams, serving

__all__ = ("greeter", "issuer")

EVENTS: Final = {"accept": "text/event-stream"}
SENT_LINES: Final = {"content-type": "application/x-ndjson"}
LINES: Final = {"accept": "application/x-ndjson", **SENT_LINES}


@contextlib.asynccontextmanager
async def edge(greeter: SimpleNamespace, port: int) -> AsyncIterator[Client]:
    """Starts an edge in front of the service at this port."""
    contract = read(compile_image(GREETER, greeter.folder, "greeter/v1/greeter.proto"))
    async with edge_of(contract, port) as client:
        yield client


async def test_every_kind_of_stream_by_rest(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Requests and responses are lines of JSON, or one array; an error names the message."""
    lines = b'{"name":"Ada"}\n{"name":"Bob"}\n'
    token = {"authorization": f"Bearer {issuer.token('users/ada', 'greet')}"}
    async with serving(greeter, issuer, Streams(greeter)) as (server, _), edge(greeter, server.port) as client:
        counted = await client.get("/v1/count?name=Ada&times=2")
        summed = await client.post("/v1/sum", content=lines, headers={**SENT_LINES, **token})
        echoed = await client.post("/v1/echo", content=lines, headers=LINES)
        refused = await client.post("/v1/sum", content=lines, headers=SENT_LINES)
    assert counted.json() == [{"text": "Ada 0"}, {"text": "Ada 1"}]
    assert summed.json() == {"text": "Ada+Bob"}
    assert echoed.text == '{"text":"ADA"}\n{"text":"BOB"}\n'
    assert refused.status_code == 401


async def test_both_ways_by_websocket(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Each frame is answered before the next one is sent."""
    async with serving(greeter, issuer, Streams(greeter)) as (server, _), edge(greeter, server.port) as client:
        url = str(client.base_url.copy_with(scheme="ws", path="/v1/echo"))
        async with connect(url) as socket:
            for name in ("Ada", "Bob"):
                await socket.send(json.dumps({"name": name}))
                assert json.loads(await socket.recv()) == {"text": name.upper()}


async def test_events_resume_after_the_server_was_replaced(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """The stream ends with a retryable error; with Last-Event-ID it continues on another server."""
    streams = Streams(greeter)
    async with contextlib.AsyncExitStack() as stack:
        server, _ = await stack.enter_async_context(serving(greeter, issuer, streams))
        client = await stack.enter_async_context(edge(greeter, server.port))
        first, error = await events(client, {}, server)
        async with serving(greeter, issuer, streams, server.port):
            second, _ = await events(client, {"last-event-id": first[-1]["id"]}, None)
    assert error["status"] == "UNAVAILABLE"
    numbers = [json.loads(event["data"])["number"] for event in first + second]
    assert numbers == list(range(1, len(numbers) + 1))


async def events(client: Client, headers: dict[str, str], server: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Reads five events of the stream, then stops the server, if one is given, and reads until the error."""
    found: list[dict[str, str]] = []
    event: dict[str, str] = {}
    stopping: asyncio.Task[None] | None = None
    async with client.stream("GET", "/v1/follow", headers={**EVENTS, **headers}) as response:
        async for line in response.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif event.get("event") == "error":
                assert stopping is not None
                await stopping
                return found, json.loads(event["data"])["error"]
            elif "data" in event:
                found.append(event)
                event = {}
            if len(found) == 5 and stopping is None:
                if server is None:
                    return found, {}
                stopping = asyncio.create_task(server.__aexit__())
    pytest.fail("the stream ended without an error")
