"""The gRPC server of a service, with health and reflection, from its start to its drain."""

from typing import Any, Self

import grpc
import grpc.aio

from mesh.errors import MeshError
from mesh.identity import EndedTokens, KeySet, RemoteEndedTokens, RemoteKeySet, Verifier
from mesh.operations import Readiness
from mesh.process import Process
from mesh.rpc import Service
from mesh.server import health
from mesh.server.open_streams import STREAMS_MAX, OpenStreams
from mesh.server.pipeline import MESSAGE_BYTES_MAX, Pipeline
from mesh.server.reflection import Reflection
from mesh.settings import ServiceSettings
from mesh.validation import Validator

CONCURRENT_CALLS_MAX = 1000
CONNECTION_AGE_S = 10.0
"""Clients are asked to connect anew this often (give or take a tenth; calls that are on their way end on the old
connection). So new replicas get their share, and a replica that no new connection is led to is soon left by all: only
then may it stop, for gRPC's library cancels what arrives in the moment when a server stops.
"""

METADATA_BYTES_MAX = 16 * 1024

_OPTIONS: list[tuple[str, Any]] = [
    # Two servers on one port would each get half of the calls; a taken port must be an error.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # By default gRPC refuses some calls at random from 8 KiB on: one limit lets a caller know what to expect.
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
    """Serves these services as part of a process. For the issuer itself, `keys` and `ended` replace the keys at
    JWKS_URL and the list at ENDED_TOKENS_URL.
    """
    if ended is None and settings.ended_tokens_url:
        ended = await process.enter(RemoteEndedTokens(settings.ended_tokens_url))
    verifier = Verifier(keys or RemoteKeySet(settings.jwks_url), settings.token_issuer, settings.token_audience, ended)
    address = f"{settings.listen_host}:{settings.grpc_port}"
    return await process.enter(Server(address, services, verifier, process.readiness, settings.shutdown_grace_s))


class Server:
    """A gRPC server with health and reflection. `port` is the one bound, also where 0 was asked for."""

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
                f"Can't listen on {self._address}: the port is taken. Set GRPC_PORT to another one, "
                "or stop the process that has it."
            ) from error
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drains: health says NOT_SERVING, streams end so that clients resume elsewhere, new calls are refused, those
        in flight get the grace to finish.
        """
        self._health.stop()
        self._streams.drain()
        await self._server.stop(self._grace_s)
