"""The greeter contract's StreamService, with one method of each kind of stream, on a real server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, Final

from mesh.client import Channel
from mesh.identity import Verifier
from mesh.operations import Readiness
from mesh.resume import read_resume_token
from mesh.rpc import Call
from mesh.server import Server
from tests.issuer import AUDIENCE, ISSUER, Issuer

METHODS: Final = ("count", "sum", "echo", "follow")


class Streams:
    """The handlers of a test, each of which may be replaced."""

    def __init__(self, greeter: SimpleNamespace, **replaced: Any) -> None:
        self.pb = greeter.pb
        self.closed = asyncio.Event()
        vars(self).update(replaced)

    async def count(self, request: Any, _call: Call) -> AsyncIterator[Any]:
        """Yields as many responses as the request asks for."""
        for number in range(request.times):
            yield self.pb.GreetResponse(text=f"{request.name} {number}")

    async def follow(self, request: Any, _call: Call) -> AsyncIterator[Any]:
        """Counts without end, from the number in the request."""
        resume = read_resume_token(request.resume_token, query=["follow"], key_types=[int])
        number = resume.after[0] if resume.after else 0
        assert isinstance(number, int)
        while True:
            number += 1
            yield self.pb.FollowResponse(number=number, resume_token=resume.token(number))
            await asyncio.sleep(0.01)

    async def sum(self, requests: AsyncIterator[Any], _call: Call) -> Any:
        """Returns all names joined."""
        return self.pb.GreetResponse(text="+".join([request.name async for request in requests]))

    async def echo(self, requests: AsyncIterator[Any], _call: Call) -> AsyncIterator[Any]:
        """Yields a response to each request."""
        try:
            async for request in requests:
                yield self.pb.GreetResponse(text=request.name.upper())
        finally:
            self.closed.set()


@contextlib.asynccontextmanager
async def serving(
    greeter: SimpleNamespace, issuer: Issuer, streams: Any, port: int = 0
) -> AsyncIterator[tuple[Server, Any]]:
    """Starts a server with these handlers; yields a typed client of it."""
    methods = {name: lambda _self, request, call, name=name: getattr(streams, name)(request, call) for name in METHODS}
    handlers = type("Handlers", (greeter.grpc.StreamServiceBase,), methods)()
    readiness = Readiness()
    readiness.serve()
    server = Server(f"127.0.0.1:{port}", (handlers,), Verifier(issuer, ISSUER, AUDIENCE), readiness, 5.0)
    async with server, Channel("streams", f"127.0.0.1:{server.port}") as channel:
        yield server, greeter.grpc.StreamServiceClient(channel)
