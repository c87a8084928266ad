"""Servers for the handlers of a service, or a stand-in for it, on free ports, and calls as different callers."""

import contextlib
from abc import ABCMeta
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from protobuf import Message

from mesh.client import Channel
from mesh.errors import Unimplemented
from mesh.identity import Caller, Verifier
from mesh.operations import Readiness
from mesh.rpc import Call, Service, current_call
from mesh.server import Server
from tests.issuer import AUDIENCE, ISSUER, Issuer


def standing_in_for(base: ABCMeta, **methods: Callable[[Any, Call], Awaitable[Message]]) -> Service:
    """Returns a service of this generated base with these methods; all others return UNIMPLEMENTED."""

    async def absent(_self: Service, _request: Message, _call: Call) -> Message:
        raise Unimplemented("The stand-in lacks this method.")

    present = {name: staticmethod(method) for name, method in methods.items()}
    service: Service = type("StandIn", (base,), dict.fromkeys(base.__abstractmethods__, absent) | present)()
    return service


@contextlib.asynccontextmanager
async def serving(issuer: Issuer, service: Service, *, port: int = 0) -> AsyncIterator[int]:
    """Starts a gRPC server for this service, which trusts the issuer's tokens; yields its port."""
    readiness = Readiness()
    readiness.serve()
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    async with Server(f"127.0.0.1:{port}", (service,), verifier, readiness, grace_s=5) as server:
        yield server.port


@contextlib.asynccontextmanager
async def channel_to(port: int, workload: str = "service") -> AsyncIterator[Channel]:
    """Opens a channel to a server on this port."""
    async with Channel(workload, f"127.0.0.1:{port}") as channel:
        yield channel


@contextlib.contextmanager
def acting_with(token: str) -> Iterator[None]:
    """Makes calls in this block carry the token, as calls made by the handler of a call with that token do."""
    reset = current_call.set(Call("/test", Caller(token=token)))
    try:
        yield
    finally:
        current_call.reset(reset)
