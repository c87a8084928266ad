"""The gRPC server of a service, with health and reflection, from its start to its drain."""

from typing import Any, Self

import grpc
import grpc.aio

from mesh.errors import MeshError
from mesh.identity import EndedTokens, KeySet, RemoteEndedTokens, RemoteKeySet, Verifier
from mesh.operations import Readiness
from mesh.process import Process
from mesh.rpc import Service
from mesh.server import health, lost_calls
from mesh.server.open_streams import STREAMS_MAX, OpenStreams
from mesh.server.pipeline import MESSAGE_BYTES_MAX, Pipeline
from mesh.server.reflection import Reflection
from mesh.settings import ServiceSettings
from mesh.validation import Validator

CONCURRENT_CALLS_MAX = 1000
CONNECTION_AGE_S = 10.0
"""The age at which clients are asked to reconnect (plus or minus a tenth; calls in progress end on the old connection).
New replicas thus get their share, and a replica that gets no new connections soon has none: it should stop only then,
because gRPC's library cancels calls that arrive at the moment when a server stops.
"""

METADATA_BYTES_MAX = 16 * 1024

_OPTIONS: list[tuple[str, Any]] = [
    # Two servers on one port would each get half of the calls; a port in use must be an error.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # By default gRPC rejects calls at random above 8 KiB, and all above 16 KiB: one limit makes that predictable.
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


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
        self._address = address
        options = [*_OPTIONS, ("grpc.max_connection_age_ms", int(CONNECTION_AGE_S * 1000))]
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX + STREAMS_MAX)
        self._streams = OpenStreams()
        validator = Validator()
        for service in services:
            methods: dict[str, Any] = {}
            for handler in service.handlers():
                pipeline = Pipeline(handler, verifier, validator, self._streams)
                methods[handler.method.name] = pipeline.method_handler()
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service.DESC.type_name, methods),)
            )
        descs = [service.DESC for service in services]
        self._health = health.Health(readiness, [desc.type_name for desc in descs])
        self._server.add_generic_rpc_handlers((self._health.handlers(), *Reflection([*descs, health.DESC]).handlers()))

    async def __aenter__(self) -> Self:
        try:
            self.port = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise MeshError(
                f"Can't listen on {self._address}: the port is in use. Set GRPC_PORT to another one, "
                "or stop the process that uses it."
            ) from error
        lost_calls.LOGGER.addFilter(lost_calls.LOST_CALLS)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drains the server: health is NOT_SERVING, streams end so that clients resume elsewhere, new calls are
        rejected, and calls in progress have the grace period to finish.
        """
        self._health.stop()
        self._streams.drain()
        await self._server.stop(self._grace_s)
