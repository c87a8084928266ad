"""The seam to the services: bytes in, bytes out. What carries them can be replaced behind it."""

import math
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from mesh.client import UnaryReply
from mesh.errors import Metadata


class Responses(Protocol):
    """The messages of a response. Iterating raises the MeshError that ended the call, or what ended the requests."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def initial_metadata(self) -> Metadata:
        """The metadata before the first message; waits for it."""

    async def trailing_metadata(self) -> Metadata:
        """The metadata after the last message; waits for the end."""


class Upstream(Protocol):
    """The way to one workload."""

    async def unary(
        self,
        path: str,
        request: bytes,
        *,
        timeout_s: float,
        patience_s: float = math.inf,
        metadata: Metadata = (),
        idempotent: bool = False,
    ) -> UnaryReply:
        """Calls "/package.Service/Method". The service is told `timeout_s`; `patience_s`, if shorter, is how long this
        caller waits. Raises the MeshError that the service answered with, Unavailable if it can't be reached,
        DeadlineExceeded if it takes too long.
        """

    def stream(
        self,
        path: str,
        requests: AsyncIterable[bytes],
        *,
        timeout_s: float | None,
        patience_s: float = math.inf,
        metadata: Metadata = (),
    ) -> AbstractAsyncContextManager[Responses]:
        """A call of any kind, while this is entered; leaving it early cancels the call. `requests` are taken one by one
        as fast as the service takes them. Entering raises Unavailable if the service is known to be away.
        """
