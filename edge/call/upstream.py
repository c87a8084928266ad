"""The interface to the services, in serialized messages; a transport implements it."""

import math
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from mesh.client import UnaryResponse
from mesh.errors import MeshError, Metadata


class Responses(Protocol):
    """The response messages of a call. Iterating raises the MeshError that ended the call, or that of the requests."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def initial_metadata(self) -> Metadata:
        """Waits for the metadata before the first message, and returns it."""

    async def trailing_metadata(self) -> Metadata:
        """Waits for the end, and returns the metadata after the last message."""


class OpenCall(Responses, Protocol):
    """The responses of a call that may not have ended."""

    def stop(self, why: MeshError) -> None:
        """Cancels the call, unless it has ended. Iterating then raises this error."""


class Upstream(Protocol):
    """The calls to one workload."""

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
        """Calls "/package.Service/Method". `timeout_s` is the deadline for the service; `patience_s`, if shorter, is
        the time that this caller waits. Raises the service's MeshError, Unavailable if the service can't be reached,
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
    ) -> AbstractAsyncContextManager[OpenCall]:
        """Starts a call of any kind; leaving the context early cancels it. `requests` are consumed at the pace of the
        service. Entering raises Unavailable if the service is known to be unreachable.
        """
