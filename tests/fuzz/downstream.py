"""The bytes that a client sends to a service's HTTP/2 server, after the preface."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from mesh.http2.connection import PREFACE
from mesh.http2.server.call import Route, ServerCall
from mesh.http2.server.connection import ServerConnection
from mesh.http2.server.server import Http2Server
from mesh.rpc.call_error import CallError
from tests.fuzz.transport import Transport

MESSAGE_BYTES_MAX = 10_000
CALLS_MAX = 3
TURNS = 3
"""How many turns of the event loop handlers have after each piece."""


class Downstream:
    """Connections to a server with a method of each kind."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._fail)
        self._failures: list[dict[str, Any]] = []
        self._routes = {path: replace(route, serve=self._watched(route.serve)) for path, route in _ROUTES.items()}

    def send(self, data: bytes, cut: int) -> None:
        """Lets a server receive these bytes in two pieces; if `cut` is odd, it drains between them. Nothing is raised,
        not by handlers either, and when the client has left, no call is left, nor any of its bytes.
        """
        try:
            self._loop.run_until_complete(self._send(data, cut))
        finally:
            failures, self._failures = self._failures, []
        assert not failures, failures

    def close(self) -> None:
        """Ends the loop."""
        self._loop.close()

    async def _send(self, data: bytes, cut: int) -> None:
        server = Http2Server(self._routes, calls_max=CALLS_MAX, connection_age_s=300.0)
        connection = ServerConnection(server)
        connection.connection_made(Transport())
        connection.data_received(PREFACE + data[:cut])
        await self._turns()
        if cut % 2:
            connection.drain()
        connection.data_received(data[cut:])
        await self._turns()
        connection.connection_lost(None)
        while server._tasks:
            await asyncio.sleep(0)
        assert connection.is_closed
        assert not server._connections
        assert not connection.streams
        assert (server.load._calls, server.load.requests._count, server.load.responses._count) == (0, 0, 0)

    async def _turns(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def _watched(self, serve: Callable[[ServerCall], Awaitable[None]]) -> Callable[[ServerCall], Awaitable[None]]:
        async def watched(call: ServerCall) -> None:
            try:
                await serve(call)
            except CallError:
                raise
            except Exception as error:  # the server logs it only
                self._failures.append({"exception": error})
                raise

        return watched

    def _fail(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failures.append(context)


async def _answer(call: ServerCall) -> None:
    message = call.request()
    assert len(message) <= MESSAGE_BYTES_MAX
    await asyncio.sleep(0)
    call.finish(message * 10)


async def _answer_twice(call: ServerCall) -> None:
    for _ in range(2):
        await call.write(call.request())
    call.finish()


async def _answer_all(call: ServerCall) -> None:
    async for message in call.requests():
        assert len(message) <= MESSAGE_BYTES_MAX
        await call.write(message)
    call.finish()


_ROUTES = {
    "/a": Route(_answer, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX),
    "/b": Route(_answer_twice, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX),
    "/c": Route(_answer_all, takes_stream=True, message_bytes_max=MESSAGE_BYTES_MAX),
}
