"""The contracts that the fuzzed edge serves, unary and streaming, by a service in this process."""

import contextlib
import math
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mesh.client import UnaryResponse
from mesh.errors import MeshError, Metadata
from tests.edge.contracts import LIBRARY, compile_image
from tests.edge.protocols.rest.contract import FEEDS

ECHO: Final = "/library.v1.Library/Echo"
COLLECTING: Final = ("/feeds.v1.Feeds/Record", "/feeds.v1.Feeds/Upload")


def image(folder: Path) -> FileDescriptorSet:
    """The descriptors of both contracts."""
    both = compile_image(LIBRARY, folder, "library.proto")
    there = {file.name for file in both.file}
    both.file.extend(file for file in compile_image(FEEDS, folder, "feeds.proto").file if file.name not in there)
    return both


class Service:
    """An upstream that answers an Echo with its request, anything else with empty messages."""

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
        """Answers at once."""
        return UnaryResponse(request if path == ECHO else b"", (), ())

    @contextlib.asynccontextmanager
    async def stream(
        self,
        path: str,
        requests: AsyncIterable[bytes],
        *,
        timeout_s: float | None,
        patience_s: float = math.inf,
        metadata: Metadata = (),
    ) -> AsyncIterator["Answers"]:
        """Answers each message when it comes, or all of them once."""
        yield Answers(requests, once=path in COLLECTING)


class Answers:
    """The messages of one response."""

    def __init__(self, requests: AsyncIterable[bytes], *, once: bool) -> None:
        self._requests = requests
        self._once = once

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for _ in self._requests:
            if not self._once:
                yield b""
        if self._once:
            yield b""

    async def initial_metadata(self) -> Metadata:
        """Returns no metadata."""
        return ()

    async def trailing_metadata(self) -> Metadata:
        """Returns no metadata."""
        return ()

    def stop(self, why: MeshError) -> None:
        """No call has a token that could end."""
