"""The interface of endpoints, to which the router dispatches HTTP requests."""

from typing import Protocol

from edge.http.reply_writer import ReplyWriter
from edge.http.request import Request


class Endpoint(Protocol):
    """The target of a route. `name` is that of its RPC, "package.Service.Method"."""

    name: str

    async def serve(self, request: Request, values: tuple[str, ...], writer: ReplyWriter) -> None:
        """Answers a request. `values` are those of the path's variables. Raises MeshError only before the response has
        started.
        """
