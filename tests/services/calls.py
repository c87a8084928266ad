"""Serves the handlers of a service on a free port, and calls them as one person or another."""

import contextlib
from collections.abc import AsyncIterator, Iterator

from mesh.client import Channel
from mesh.identity import Caller, Verifier
from mesh.operations import Readiness
from mesh.rpc import Call, Service, current_call
from mesh.server import Server
from tests.issuer import AUDIENCE, ISSUER, Issuer


@contextlib.asynccontextmanager
async def serving(issuer: Issuer, service: Service, *, port: int = 0) -> AsyncIterator[int]:
    """A gRPC server of this service, which believes the issuer's tokens; gives its port."""
    readiness = Readiness()
    readiness.serve()
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    async with Server(f"127.0.0.1:{port}", (service,), verifier, readiness, grace_s=5) as server:
        yield server.port


@contextlib.asynccontextmanager
async def channel_to(port: int, workload: str = "service") -> AsyncIterator[Channel]:
    """A channel to a server on this port."""
    async with Channel(workload, f"127.0.0.1:{port}") as channel:
        yield channel


@contextlib.contextmanager
def acting_with(token: str) -> Iterator[None]:
    """Calls made in this block carry the token, as those made by the handler of a call with that token do."""
    reset = current_call.set(Call("/test", Caller(token=token)))
    try:
        yield
    finally:
        current_call.reset(reset)
