"""What a request is dispatched to."""

from typing import Protocol

from edge.http.access_record import AccessRecord
from edge.http.reply import Reply
from edge.http.request import Receive, Request


class Endpoint(Protocol):
    """What a route of the router leads to. `name` is that of its RPC, "package.Service.Method"."""

    name: str

    async def serve(self, request: Request, values: tuple[str, ...], receive: Receive, record: AccessRecord) -> Reply:
        """Answers a request whose path has these values. Raises MeshError."""
