"""Real gRPC servers of the greeter contract on free ports, and clients of them."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import grpc.aio

from mesh.client import Channel
from mesh.identity import Verifier
from mesh.operations import Readiness
from mesh.rpc import Call
from mesh.server import Server
from tests.issuer import AUDIENCE, ISSUER, Issuer

GREET, SHOUT, WHISPER = (f"/greeter.v1.GreeterService/{name}" for name in ("Greet", "Shout", "Whisper"))


@dataclass(frozen=True)
class Served:
    """A running server: its port, and the readiness that its health follows."""

    port: int
    readiness: Readiness


Handle = Callable[[Any, Call], Awaitable[Any]]


@contextlib.asynccontextmanager
async def serving(
    greeter: SimpleNamespace, issuer: Issuer, handle: Handle, *, grace_s: float = 5.0, port: int = 0
) -> AsyncIterator[Served]:
    """Starts a server whose three methods are all `handle`."""

    async def serve(_self: object, request: Any, call: Call) -> Any:
        return await handle(request, call)

    methods = dict.fromkeys(("greet", "shout", "whisper"), serve)
    handlers = type("Handlers", (greeter.grpc.GreeterServiceBase,), methods)()
    readiness = Readiness()
    readiness.serve()
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    async with Server(f"127.0.0.1:{port}", (handlers,), verifier, readiness, grace_s) as server:
        yield Served(server.port, readiness)


@contextlib.asynccontextmanager
async def channel_to(server: Served, **options: Any) -> AsyncIterator[Channel]:
    """Opens a channel of the runtime to that server."""
    async with Channel("greeter", f"127.0.0.1:{server.port}", **options) as channel:
        yield channel


@contextlib.asynccontextmanager
async def plain_channel(server: Served) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel of bare grpc.aio to that server, as another program would."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


@contextlib.asynccontextmanager
async def plain_server(port: int = 0, **methods: Any) -> AsyncIterator[str]:
    """Starts a server of bare grpc.aio whose methods take and return bytes, at "/plain.Service/<name>". Yields its
    address.
    """
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("plain.Service", methods),))
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def never(_request: Any, _call: Call) -> Any:
    """Fails the test if it is called."""
    raise AssertionError("reached")


def unary(channel: grpc.aio.Channel, path: str) -> Any:
    """Returns a method as a callable that takes and returns bytes."""
    return channel.unary_unary(path)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Returns the metadata that carries a token."""
    return (("authorization", f"Bearer {token}"),)
