"""The gRPC server of a service, with health and reflection, from its start to its drain."""

from typing import Self

from mesh.errors import MeshError
from mesh.http2.server.server import Http2Server
from mesh.identity import EndedTokens, KeySet, RemoteEndedTokens, RemoteKeySet, Verifier
from mesh.listening import PortInUse, bind
from mesh.operations import Readiness
from mesh.process import Process
from mesh.rpc import Service
from mesh.server import health
from mesh.server.open_streams import STREAMS_MAX, OpenStreams
from mesh.server.pipeline import Pipeline
from mesh.server.reflection import Reflection
from mesh.settings import ServiceSettings
from mesh.validation import Validator

CONCURRENT_CALLS_MAX = 1000
CONNECTION_AGE_S = 10.0
"""The age at which clients are asked to reconnect; calls in progress end on the old connection. New replicas thus get
their share, and a replica that gets no new connections soon has none: it should stop only then.
"""


async def serve(
    process: Process,
    settings: ServiceSettings,
    *services: Service,
    keys: KeySet | None = None,
    ended: EndedTokens | None = None,
) -> "Server":
    """Starts a server for these services as a component of a process. For the issuer itself, `keys` and `ended` replace
    the keys at JWKS_URL and the list at ENDED_TOKENS_URL.
    """
    if ended is None and settings.ended_tokens_url:
        ended = await process.enter(RemoteEndedTokens(settings.ended_tokens_url))
    if keys is None:
        keys = await process.enter(RemoteKeySet(settings.jwks_url))
    verifier = Verifier(keys, settings.token_issuer, settings.token_audience, ended)
    address = f"{settings.listen_host}:{settings.grpc_port}"
    return await process.enter(Server(address, services, verifier, process.readiness, settings.shutdown_grace_s))


class Server:
    """A gRPC server with health and reflection, which runs while its context lasts. `port` is the bound port, also for
    port 0.
    """

    def __init__(
        self, address: str, services: tuple[Service, ...], verifier: Verifier, readiness: Readiness, grace_s: float
    ) -> None:
        self._grace_s = grace_s
        host, _, port = address.rpartition(":")
        self._host = host.strip("[]")
        self._port = int(port)
        self._streams = OpenStreams()
        descs = [service.DESC for service in services]
        self._health = health.Health(readiness, [desc.type_name for desc in descs])
        self._reflection = Reflection([*descs, health.DESC])
        routes = self._health.routes() | self._reflection.routes()
        validator = Validator()
        for service in services:
            for handler in service.handlers():
                routes[handler.method.path] = Pipeline(handler, verifier, validator, self._streams).route()
        self._server = Http2Server(
            routes, calls_max=CONCURRENT_CALLS_MAX + STREAMS_MAX, connection_age_s=CONNECTION_AGE_S
        )

    async def __aenter__(self) -> Self:
        try:
            bound = bind(self._host, self._port)
            self.port: int = bound.getsockname()[1]
            await self._server.start(bound)
        except PortInUse as error:
            raise MeshError(
                f"Can't listen on {self._host}:{self._port}: the port is in use. Set GRPC_PORT to another one, "
                "or stop the process that uses it."
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drains the server: health is NOT_SERVING, streams end so that clients resume elsewhere, and calls in progress
        have the grace period to finish, with those that clients made before they knew.
        """
        self._health.stop()
        self._reflection.stop()
        self._streams.drain()
        await self._server.stop(self._grace_s)
