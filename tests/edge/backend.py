"""A gRPC server of any contract, which records its requests and answers as a test specifies."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from protobuf import Message, Registry

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(frozen=True)
class Received:
    """One call: its path, the serialised request, its metadata, and the seconds until its deadline."""

    path: str
    request: bytes
    metadata: dict[str, str | bytes]
    remaining_s: float | None


@dataclass
class Backend:
    """A test's view of the server. `streaming` are the paths of methods that stream: on the wire a single message is
    a stream of one. `ended` has those of their calls that are over, however they ended.
    """

    registry: Registry
    streaming: frozenset[str] = frozenset()
    port: int = 0
    calls: list[Received] = field(default_factory=list)
    answer: Callable[[Received, Context], Awaitable[bytes]] | None = None
    stream: Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]] | None = None
    ended: list[str] = field(default_factory=list)

    def message(self, type_name: str, json: str = "{}") -> Message:
        """Returns a message of the contract, from its JSON."""
        desc = self.registry.message(type_name)
        assert desc is not None, f"no {type_name}"
        return desc.type.from_json(json, registry=self.registry)

    def replies(self, message: Message, metadata: tuple[tuple[str, str | bytes], ...] = ()) -> None:
        """Answers every call with this message."""

        async def answer(_: Received, context: Context) -> bytes:
            if metadata:
                await context.send_initial_metadata(metadata)
            return message.to_binary()

        self.answer = answer

    def lacks(self, name: bytes) -> None:
        """Answers calls that name this with NOT_FOUND, and all others with an empty message."""

        async def answer(received: Received, context: Context) -> bytes:
            if name in received.request:
                await context.abort(grpc.StatusCode.NOT_FOUND, "There is no such book.")
            return b""

        self.answer = answer

    def received(self, type_name: str) -> str:
        """Returns the last request as JSON."""
        desc = self.registry.message(type_name)
        assert desc is not None, f"no {type_name}"
        return desc.type.from_binary(self.calls[-1].request).to_json(registry=self.registry)


async def _echo(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        path = str(handler_call_details.method)

        async def serve(request: bytes, context: Context) -> bytes:
            metadata = {str(key): value for key, value in context.invocation_metadata() or ()}
            received = Received(path, request, metadata, context.time_remaining())
            self._backend.calls.append(received)
            return request if self._backend.answer is None else await self._backend.answer(received, context)

        async def serve_stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            metadata = {str(key): value for key, value in context.invocation_metadata() or ()}
            self._backend.calls.append(Received(path, b"", metadata, context.time_remaining()))
            ended = self._backend.ended  # of this test, which may be over when the call ends
            try:
                async for response in (self._backend.stream or _echo)(requests, context):
                    yield response
            finally:
                ended.append(path)

        if path in self._backend.streaming:
            return grpc.stream_stream_rpc_method_handler(serve_stream)
        return grpc.unary_unary_rpc_method_handler(serve)


@contextlib.asynccontextmanager
async def backend_of(registry: Registry, streaming: Iterable[str] = ()) -> AsyncIterator[Backend]:
    """Runs the server on a free port. By default it answers with the request itself."""
    backend = Backend(registry, frozenset(streaming))
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Handlers(backend),))
    backend.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield backend
    finally:
        await server.stop(None)
