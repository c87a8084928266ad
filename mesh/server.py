"""The gRPC server: what happens to every call before and after its handler.

In this order: deadline, token, the contract's policy, parsing, the contract's validation, the handler; then whatever
went wrong becomes a google.rpc.Status that says what the caller may know.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Self

import grpc
import grpc.aio
import structlog
from protobuf import Message

from mesh import audit, correlation, health, tracing
from mesh.ended_tokens import EndedTokens, EndedTokensUrl
from mesh.errors import (
    Code,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    MeshError,
    PermissionDenied,
    Unauthenticated,
)
from mesh.identity import ANONYMOUS, Caller, JwksUrl, KeySource, Verifier, authorize, bearer_of, bearer_token
from mesh.message_size import request_bytes_max
from mesh.operations import Readiness
from mesh.policy import DEFAULT_TIMEOUT_S
from mesh.process import Process
from mesh.reflection import Reflection
from mesh.rpc import CLIENT_ADDRESS, Call, Handler, Service, current_call
from mesh.settings import ServiceSettings
from mesh.status import DETAILS_TRAILER, to_status
from mesh.telemetry import SERVER_CALLS, SERVER_SECONDS
from mesh.validation import Validator

CONCURRENT_CALLS_MAX = 1000
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
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

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}

log = structlog.get_logger()


async def serve(
    process: Process,
    settings: ServiceSettings,
    *services: Service,
    keys: KeySource | None = None,
    ended: EndedTokens | None = None,
) -> "Server":
    """Serves these services as part of a process. For the issuer itself, `keys` and `ended` replace the keys at
    JWKS_URL and the list at ENDED_TOKENS_URL.
    """
    if ended is None and settings.ended_tokens_url:
        ended = await process.enter(EndedTokensUrl(settings.ended_tokens_url))
    verifier = Verifier(keys or JwksUrl(settings.jwks_url), settings.token_issuer, settings.token_audience, ended)
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
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX)
        validator = Validator()
        for service in services:
            methods: dict[str, Any] = {}
            for handler in service.handlers():
                pipeline = _Unary(handler, verifier, validator)
                methods[handler.method.name] = grpc.unary_unary_rpc_method_handler(pipeline.serve)
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
        """Drains: health says NOT_SERVING, new calls are refused, those in flight get the grace to finish."""
        self._health.stop()
        await self._server.stop(self._grace_s)


class _Unary:
    """The pipeline of one unary method."""

    def __init__(self, handler: Handler, verifier: Verifier, validator: Validator) -> None:
        self._handler = handler
        self._method = handler.method
        self._verifier = verifier
        self._validator = validator
        self._bytes_max = request_bytes_max(self._method.request.desc(), MESSAGE_BYTES_MAX)
        self._seconds = SERVER_SECONDS.labels(self._method.path)

    async def serve(self, request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        """Answers one call; bytes in, bytes out."""
        started = time.monotonic()
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        correlation.bind(correlation.safe_request_id(metadata.get(correlation.REQUEST_ID, "")), metadata)
        code = Code.CANCELLED
        try:
            with tracing.span(self._method.path, "SERVER", metadata):
                response = await self._answer(request, metadata, context)
            code = Code.OK
        except MeshError as error:
            code = error.code
            await _abort(context, error)
        except Exception:
            code = Code.INTERNAL
            log.exception("handler failed", method=self._method.path)
            await _abort(context, Internal("Internal error."))
        finally:
            elapsed_s = time.monotonic() - started
            self._seconds.observe(elapsed_s)
            SERVER_CALLS.labels(self._method.path, code.name).inc()
            log.debug("call", method=self._method.path, code=code.name, ms=round(elapsed_s * 1000, 1))
        return response

    async def _answer(
        self, request: bytes, metadata: Mapping[str, str], context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> bytes:
        allowed_s = self._method.policy.timeout_s or DEFAULT_TIMEOUT_S
        remaining_s = context.time_remaining()
        if remaining_s is not None:
            allowed_s = min(allowed_s, remaining_s)
        try:
            async with asyncio.timeout(allowed_s) as allowed:
                caller = await self._admit(metadata)
                message = self._read(request)
                call = Call(self._method.path, caller, time.monotonic() + allowed_s, metadata)
                return await self._handle(message, call)
        except TimeoutError as error:
            if not allowed.expired():
                raise  # Not the deadline of this call, but of something that its handler waited for.
            raise DeadlineExceeded("The call took longer than its deadline allows.") from error

    async def _admit(self, metadata: Mapping[str, str]) -> Caller:
        """The caller, who may call. Raises Unauthenticated, PermissionDenied."""
        caller = ANONYMOUS
        try:
            caller = await self._caller(metadata)
            authorize(self._method.policy, caller)
        except (Unauthenticated, PermissionDenied) as error:
            audit.record_refusal(
                error,
                method=self._method.path,
                account=caller.subject,
                client=metadata.get(CLIENT_ADDRESS, ""),
            )
            raise
        return caller

    async def _caller(self, metadata: Mapping[str, str]) -> Caller:
        """Who sends the bearer token. Other schemes are left to public methods, which may want them: the token endpoint
        takes Basic.
        """
        token = bearer_token(metadata.get("authorization", ""))
        return ANONYMOUS if token is None else await bearer_of(token, self._verifier, self._method.policy)

    def _read(self, request: bytes) -> Message:
        """The request, which fits the contract. Raises InvalidArgument."""
        try:
            message = self._parse(request)
            self._validator.check(message)
        except InvalidArgument as error:
            error.reason = self._method.policy.invalid_reason or error.reason
            raise
        return message

    def _parse(self, request: bytes) -> Message:
        kind: type[Message] = self._method.request
        if len(request) > self._bytes_max:
            raise InvalidArgument(f"The request is larger than {self._bytes_max} bytes.", reason="MESSAGE_TOO_LARGE")
        try:
            return kind.from_binary(request)
        except (ValueError, EOFError, RecursionError) as error:
            raise InvalidArgument(
                f"The request is not a {kind.desc().type_name}.", reason="MALFORMED_MESSAGE"
            ) from error

    async def _handle(self, message: Message, call: Call) -> bytes:
        token = current_call.set(call)
        try:
            return (await self._handler.serve(message, call)).to_binary()
        finally:
            current_call.reset(token)


async def _abort(context: "grpc.aio.ServicerContext[bytes, bytes]", error: MeshError) -> None:
    status = to_status(error)
    trailers = ((DETAILS_TRAILER, status.to_binary()), (correlation.REQUEST_ID, correlation.request_id()))
    await context.abort(_GRPC_CODES[error.code], status.message, trailers)
