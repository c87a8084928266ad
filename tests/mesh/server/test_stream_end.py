"""A stream that its client did not end is not taken for a complete one."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, Final

import pytest

from mesh.client import RawChannel
from mesh.client.grpc_transport import GrpcTransport
from mesh.client.http2_transport import Http2Transport
from mesh.client.transport import OpenTransport
from mesh.errors import MeshError
from mesh.rpc import Call
from tests.issuer import Issuer
from tests.mesh.stream_service import Streams, serving

SUM, ECHO = "/greeter.v1.StreamService/Sum", "/greeter.v1.StreamService/Echo"

CALLS: Final = 100


class Imports(Streams):
    """Handlers that commit what they have read when their stream ends."""

    def __init__(self, greeter: SimpleNamespace, *, in_task: bool) -> None:
        """`in_task` makes them read in a task of their own."""
        super().__init__(greeter)
        self._in_task = in_task
        self.committed: list[list[str]] = []
        self.begun = asyncio.Semaphore(0)
        self.ended = asyncio.Semaphore(0)

    async def sum(self, requests: AsyncIterator[Any], _call: Call) -> Any:
        """Responds at the end of the stream."""
        await self._import(requests)
        return self.pb.GreetResponse()

    async def echo(self, requests: AsyncIterator[Any], _call: Call) -> AsyncIterator[Any]:
        """Responds before it reads, which sends the headers."""
        yield self.pb.GreetResponse()
        await self._import(requests)

    async def _import(self, requests: AsyncIterator[Any]) -> None:
        try:
            if self._in_task:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read(requests))
            else:
                await self._read(requests)
        finally:
            self.ended.release()

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        names = []
        async for request in requests:
            names.append(request.name)
            self.begun.release()
        self.committed.append(names)


@pytest.mark.parametrize("in_task", [False, True], ids=["read by the call", "read by a task"])
@pytest.mark.parametrize("path", [SUM, ECHO])
@pytest.mark.parametrize("transport", [Http2Transport, GrpcTransport])
async def test_a_stream_that_is_cut_off_is_not_committed(
    greeter: SimpleNamespace, issuer: Issuer, transport: OpenTransport, path: str, in_task: bool
) -> None:
    """A client that cancels its call, as the edge does when a message is invalid or its client is gone, has not sent
    all; one that ends its stream has.
    """
    imports = Imports(greeter, in_task=in_task)
    metadata = (("authorization", f"Bearer {issuer.token('users/ada', 'greet')}"),)
    last = asyncio.Event()

    async def requests() -> AsyncIterator[bytes]:
        yield greeter.pb.GreetRequest(name="Ada").to_binary()
        await last.wait()

    async with (
        serving(greeter, issuer, imports) as (server, _),
        RawChannel("streams", f"127.0.0.1:{server.port}", transport=transport) as channel,
    ):
        for _ in range(CALLS):
            async with channel.stream(path, requests(), timeout_s=None, metadata=metadata):
                await imports.begun.acquire()
            await imports.ended.acquire()
        assert imports.committed == []
        last.set()
        async with channel.stream(path, requests(), timeout_s=None, metadata=metadata) as responses:
            assert len([response async for response in responses]) == 1
    assert imports.committed == [["Ada"]]


@pytest.mark.parametrize("path", [SUM, ECHO])
async def test_a_stream_with_a_message_that_is_too_large_is_not_committed(
    greeter: SimpleNamespace, issuer: Issuer, path: str
) -> None:
    """The server rejects such a message before the pipeline sees it, and the handler gets the error."""
    imports = Imports(greeter, in_task=False)
    metadata = (("authorization", f"Bearer {issuer.token('users/ada', 'greet')}"),)

    async def requests() -> AsyncIterator[bytes]:
        yield greeter.pb.GreetRequest(name="Ada").to_binary()
        yield bytes(5_000_000)

    async with (
        serving(greeter, issuer, imports) as (server, _),
        RawChannel("streams", f"127.0.0.1:{server.port}") as channel,
    ):
        for _ in range(CALLS // 10):
            with pytest.raises(MeshError):
                async with channel.stream(path, requests(), timeout_s=None, metadata=metadata) as responses:
                    _ = [response async for response in responses]
            await imports.ended.acquire()
    assert imports.committed == []
