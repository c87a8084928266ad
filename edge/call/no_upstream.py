"""The placeholder for a service without an address."""

from contextlib import AbstractAsyncContextManager

from edge.call.upstream import OpenCall
from mesh.client import UnaryResponse
from mesh.errors import Unavailable


class NoUpstream:
    """An upstream that fails every call, for viewing a contract without its services."""

    def __init__(self, service: str) -> None:
        self._service = service

    async def unary(self, *_: object, **__: object) -> UnaryResponse:
        """Raises Unavailable."""
        raise Unavailable(f"{self._service} has no address.")

    def stream(self, *_: object, **__: object) -> AbstractAsyncContextManager[OpenCall]:
        """Raises Unavailable."""
        raise Unavailable(f"{self._service} has no address.")
