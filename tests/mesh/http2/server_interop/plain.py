"""The methods that the clients of other implementations call: they take and return bytes."""

import asyncio
from typing import Final

from mesh.errors import Code
from mesh.http2.server.call import Route, ServerCall
from tests.mesh.http2.server.scripted import MESSAGE_BYTES_MAX

UNARY, COUNT, SUM, ECHO, WAIT, FAIL = (
    f"/plain.Service/{name}" for name in ("Unary", "Count", "Sum", "Echo", "Wait", "Fail")
)


async def unary(call: ServerCall) -> None:
    """Returns the request."""
    call.finish(call.request())


async def count(call: ServerCall) -> None:
    """Sends the request three times."""
    for _ in range(3):
        await call.write(call.request())
    call.finish()


async def join(call: ServerCall) -> None:
    """Returns the requests, joined."""
    call.finish(b"".join([request async for request in call.requests()]))


async def echo(call: ServerCall) -> None:
    """Sends each request back."""
    async for request in call.requests():
        await call.write(request)
    call.finish()


async def wait(_call: ServerCall) -> None:
    """Never answers."""
    await asyncio.Event().wait()


async def fail(call: ServerCall) -> None:
    """Fails with the text of the request."""
    call.abort(Code.ABORTED, call.request().decode(), (("x-bytes-bin", bytes(range(256))), ("x-text", "a")))


ROUTES: Final = {
    UNARY: Route(unary, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX),
    COUNT: Route(count, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX),
    SUM: Route(join, takes_stream=True, message_bytes_max=MESSAGE_BYTES_MAX),
    ECHO: Route(echo, takes_stream=True, message_bytes_max=MESSAGE_BYTES_MAX),
    WAIT: Route(wait, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX),
    FAIL: Route(fail, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX),
}
