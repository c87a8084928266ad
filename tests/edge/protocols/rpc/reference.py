"""The program that the conformance suite of Connect and gRPC-Web tests: the edge before the suite's own gRPC server.

The suite tests servers, which do as a request says. What the edge does beside that as its policy is taken away here:
the texts of internal errors that it keeps to itself, the reasons in its own errors, the deadline of calls without one.
"""

import asyncio
import contextlib
import math
import signal
import struct
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final
from unittest.mock import patch

import structlog
from google.api import annotations_pb2  # type: ignore[import-untyped] # has no stubs
from googleapis.google.rpc.status_pb import Status
from protobuf import Message

from edge.contract.contract import Contract, read
from edge.sources.folder import compile_folder
from mesh.client import RawChannel, Stream, UnaryResponse
from mesh.errors import Metadata
from tests.edge.contracts import ROOT
from tests.edge.served import edge_of

SUITE: Final = ROOT / ".tools" / "connect-conformance"
PACKAGE: Final = "connectrpc.conformance.v1"
NO_TIMEOUT_S: Final = 3600.0
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
HEADERS: Final = [
    "x-conformance-test",
    "x-custom-header",
    "x-custom-header-bin",
    "x-custom-trailer",
    "x-custom-trailer-bin",
]


class _Channel(RawChannel):
    """A channel whose calls have only the client's deadline, which the suite's server checks."""

    async def unary(
        self,
        path: str,
        request: bytes,
        *,
        timeout_s: float,
        patience_s: float = math.inf,
        metadata: Metadata = (),
        idempotent: bool = False,
    ) -> UnaryResponse:
        timeout_s = min(timeout_s, patience_s)
        if timeout_s < NO_TIMEOUT_S:
            return await super().unary(path, request, timeout_s=timeout_s, metadata=metadata, idempotent=idempotent)
        async with self.stream(path, _one(request), timeout_s=timeout_s, metadata=metadata) as responses:
            (message,) = [each async for each in responses]
            return UnaryResponse(message, await responses.initial_metadata(), await responses.trailing_metadata())

    @contextlib.asynccontextmanager
    async def stream(
        self,
        path: str,
        requests: AsyncIterable[bytes],
        *,
        timeout_s: float | None,
        patience_s: float = math.inf,
        metadata: Metadata = (),
    ) -> AsyncIterator[Stream]:
        wanted_s = patience_s if patience_s < NO_TIMEOUT_S else None
        async with super().stream(path, requests, timeout_s=wanted_s, metadata=metadata) as stream:
            yield stream


async def _one(message: bytes) -> AsyncIterator[bytes]:
    yield message


def contract() -> Contract:
    """Returns the suite's contract, with HTTP rules added."""
    image = compile_folder(SUITE / "proto")
    for file in image.file:
        for service in file.service:
            for method in service.method:
                rule = method.options.Extensions[annotations_pb2.http]
                rule.post, rule.body = f"/{method.name}", "*"
    return read(image)


@contextlib.asynccontextmanager
async def _server(asked: Message, answer: type[Message]) -> AsyncIterator[Any]:
    """Runs the suite's gRPC server."""
    process = await asyncio.create_subprocess_exec(SUITE / "referenceserver", "-port", "0", stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(_framed(asked))
    (size_bytes,) = struct.unpack(">I", await process.stdout.readexactly(4))
    try:
        yield answer.from_binary(await process.stdout.readexactly(size_bytes))
    finally:
        process.terminate()
        await process.wait()


def _framed(message: Message) -> bytes:
    content = message.to_binary()
    return struct.pack(">I", len(content)) + content


async def main() -> None:
    """Serves the configuration that the suite writes to standard input, until the suite ends it."""
    served, stop = contract(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    request, response = (served.registry.message(f"{PACKAGE}.ServerCompat{name}") for name in ("Request", "Response"))
    assert request is not None
    assert response is not None
    (size_bytes,) = struct.unpack(">I", sys.stdin.buffer.read(4))
    asked: Any = request.type.from_binary(sys.stdin.buffer.read(size_bytes))
    grpc = request.type.from_json('{"protocol": "PROTOCOL_GRPC", "httpVersion": "HTTP_VERSION_2"}')
    async with (
        _server(grpc, response.type) as server,
        edge_of(
            served,
            server.port,
            call_timeout_s=NO_TIMEOUT_S,
            stream_timeout_s=NO_TIMEOUT_S,
            body_bytes_max=asked.message_receive_limit or MESSAGE_BYTES_MAX,
            request_headers=HEADERS,
            response_headers=HEADERS,
        ) as client,
    ):
        answer = response.type.from_json(f'{{"host": "127.0.0.1", "port": {client.base_url.port}}}')
        sys.stdout.buffer.write(_framed(answer))
        sys.stdout.buffer.flush()
        await stop.wait()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with (
        patch("edge.protocols.rpc.status.to_status", lambda error: Status(code=int(error.code))),
        patch("edge.call.upstreams.RawChannel", _Channel),
        patch.dict("mesh.client.failures.NEUTRAL_TEXTS", clear=True),
    ):
        asyncio.run(main())
