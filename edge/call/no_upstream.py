"""The placeholder for a service without an address."""

import math
from collections.abc import AsyncIterable
from contextlib import AbstractAsyncContextManager

from edge.call.upstream import Responses
from mesh.client import UnaryResponse
from mesh.errors import Metadata, Unavailable


class NoUpstream:
    """An upstream that fails every call, for viewing a contract without its services."""

    def __init__(self, service: str) -> None:
        self._service = service

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
        """Raises Unavailable."""
        raise Unavailable(f"{self._service} has no address.")

    def stream(
        self,
        path: str,
        requests: AsyncIterable[bytes],
        *,
        timeout_s: float | None,
        patience_s: float = math.inf,
        metadata: Metadata = (),
    ) -> AbstractAsyncContextManager[Responses]:
        """Raises Unavailable."""
        raise Unavailable(f"{self._service} has no address.")
