"""What a request over HTTP is dispatched to."""

from typing import Protocol

from edge.http.request import Request
from edge.http.response import Response


class Endpoint(Protocol):
    """The target of a route. `name` is that of its RPC, "package.Service.Method"."""

    name: str

    async def serve(self, request: Request, values: tuple[str, ...], response: Response) -> None:
        """Answers a request whose path has these values. Raises MeshError if nothing has been sent yet."""
