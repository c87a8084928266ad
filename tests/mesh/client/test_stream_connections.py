"""Many streams to a workload whose server allows a hundred on each connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from mesh.client import Channel, Stream
from mesh.client.grpc_transport import GrpcTransport
from mesh.client.stream_connections import STREAMS_MAX
from mesh.client.transport import OpenTransport


async def _no_requests() -> AsyncIterator[bytes]:
    return
    yield b""


async def test_streams_keep_nobody_waiting(transport: OpenTransport) -> None:
    """Streams are spread over connections, other calls are not queued, and connections are reused."""
    peers: set[str] = set()

    async def watch(_: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        peers.add(context.peer())
        yield b"first"
        await asyncio.Event().wait()

    async def get(request: bytes, _: Any) -> bytes:
        return request

    handlers: dict[str, Any] = {
        "Watch": grpc.stream_stream_rpc_method_handler(watch),
        "Get": grpc.unary_unary_rpc_method_handler(get),
    }
    server = grpc.aio.server(options=[("grpc.max_concurrent_streams", 2 * STREAMS_MAX)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s.S", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def opened(channel: Channel, count: int, stack: contextlib.AsyncExitStack) -> list[bytes]:
        streams: list[Stream] = [
            await stack.enter_async_context(channel.stream("/s.S/Watch", _no_requests(), timeout_s=60))
            for _ in range(count)
        ]
        return [await anext(stream) for stream in streams]

    try:
        async with Channel("s", f"127.0.0.1:{port}") as channel:
            for _round in range(2):
                async with contextlib.AsyncExitStack() as stack:
                    assert await opened(channel, 2 * STREAMS_MAX + 1, stack) == [b"first"] * (2 * STREAMS_MAX + 1)
                    assert (await channel.unary("/s.S/Get", b"x", timeout_s=30)).message == b"x"
            assert len(peers) == (3 if transport is GrpcTransport else 2)
    finally:
        await server.stop(None)
