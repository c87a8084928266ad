"""The pipeline of one method: what happens to every call before and after its handler.

In this order: deadline, token, the contract's policy; parsing and the contract's validation of each message; the
handler. What goes wrong becomes a google.rpc.Status that says what the caller may know.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Any, Final, TypeAlias, TypeVar

import grpc
import grpc.aio
import structlog
from protobuf import Message

from mesh import audit
from mesh.contract.message_size import request_bytes_max
from mesh.contract.policy import DEFAULT_TIMEOUT_S
from mesh.errors import (
    Code,
    DeadlineExceeded,
    FieldViolation,
    Internal,
    InvalidArgument,
    MeshError,
    PermissionDenied,
    Unauthenticated,
)
from mesh.identity import ANONYMOUS, Caller, Verifier, authorize, authorize_connection, bearer_of, bearer_token
from mesh.rpc import CLIENT_ADDRESS, WORKLOAD, Call, Handler, current_call
from mesh.rpc.status import DETAILS_TRAILER, to_status
from mesh.server.open_streams import OpenStreams, stopping
from mesh.telemetry import correlation, tracing
from mesh.telemetry.metrics import SERVER_CALLS, SERVER_SECONDS
from mesh.validation import Validator

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""The largest message; a method takes no larger ones than its contract leaves room for."""

STREAM_TIMEOUT_S: Final = 86_400.0
"""The longest life of a stream whose contract names no timeout."""

STREAM_MESSAGES_MAX: Final = 1_000_000
"""The most messages that one call may send."""

_GRPC_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Answer = TypeVar("Answer")

log = structlog.get_logger()


class Pipeline:
    """Serves the calls of one method, bytes in and bytes out."""

    def __init__(self, handler: Handler, verifier: Verifier, validator: Validator, streams: OpenStreams) -> None:
        self._handler = handler
        self._method = handler.method
        self._verifier = verifier
        self._validator = validator
        self._streams = streams
        self._bytes_max = request_bytes_max(self._method.request.desc(), MESSAGE_BYTES_MAX)
        self._seconds = SERVER_SECONDS.labels(self._method.path)

    def method_handler(self) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """What a gRPC server registers for a method of this kind."""
        match self._method.kind:
            case "unary":
                return grpc.unary_unary_rpc_method_handler(self._unary)
            case "server_streaming":
                return grpc.unary_stream_rpc_method_handler(self._server_streaming)
            case "client_streaming":
                return grpc.stream_unary_rpc_method_handler(self._client_streaming)
            case "bidi_streaming":
                return grpc.stream_stream_rpc_method_handler(self._bidi_streaming)

    async def _unary(self, request: bytes, context: Context) -> bytes:
        async def handle(call: Call) -> bytes:
            return await self._answer(self._read(request), call)

        return await self._serve(context, handle)

    async def _server_streaming(self, request: bytes, context: Context) -> None:
        async def handle(call: Call) -> None:
            await self._send(self._read(request), call, context)

        await self._serve(context, handle)

    async def _client_streaming(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        async def handle(call: Call) -> bytes:
            async with aclosing(self._read_all(requests)) as messages:
                return await self._answer(messages, call)

        return await self._serve(context, handle)

    async def _bidi_streaming(self, requests: AsyncIterator[bytes], context: Context) -> None:
        async def handle(call: Call) -> None:
            async with aclosing(self._read_all(requests)) as messages:
                await self._send(messages, call, context)

        await self._serve(context, handle)

    async def _answer(self, request: Any, call: Call) -> bytes:
        response: Message = await self._handler.serve(request, call)
        return response.to_binary()

    async def _send(self, request: Any, call: Call, context: Context) -> None:
        """Writes each response once the client has room for it."""
        async with aclosing(self._handler.serve(request, call)) as responses:
            async for response in responses:
                await context.write(response.to_binary())

    async def _serve(self, context: Context, handle: Callable[[Call], Awaitable[Answer]]) -> Answer:
        """The life of a call around its handling."""
        started = time.monotonic()
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        correlation.bind(correlation.safe_request_id(metadata.get(correlation.REQUEST_ID, "")), metadata)
        code = Code.CANCELLED
        try:
            with tracing.span(self._method.path, "SERVER", metadata):
                answer = await self._admitted(metadata, context, handle)
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
        return answer

    async def _admitted(
        self, metadata: Mapping[str, str], context: Context, handle: Callable[[Call], Awaitable[Answer]]
    ) -> Answer:
        """Handles a call that its caller may make, within its deadline."""
        allowed_s = self._method.policy.timeout_s or (STREAM_TIMEOUT_S if self._method.streams else DEFAULT_TIMEOUT_S)
        remaining_s = context.time_remaining()
        if remaining_s is not None:
            allowed_s = min(allowed_s, remaining_s)
        deadline = time.monotonic() + allowed_s
        try:
            async with asyncio.timeout(allowed_s) as end:
                with self._counted(end):
                    caller = await self._admit(metadata)
                    call = Call(self._method.path, caller, deadline, metadata, self._method.response)
                    return await _in_context(call, handle)
        except TimeoutError as error:
            if not end.expired():
                raise  # Not the deadline of this call, but of something that its handler waited for.
            if time.monotonic() < deadline:
                raise stopping() from error
            raise DeadlineExceeded("The call took longer than its deadline allows.") from error

    async def _admit(self, metadata: Mapping[str, str]) -> Caller:
        """Returns the caller, who may call. Raises Unauthenticated, PermissionDenied."""
        caller = ANONYMOUS
        try:
            if (workload := metadata.get(WORKLOAD)) is not None:
                authorize_connection(self._method.policy, workload)
            caller = await self._caller(metadata)
            authorize(self._method.policy, caller)
        except (Unauthenticated, PermissionDenied) as error:
            client = metadata.get(CLIENT_ADDRESS, "")
            audit.record_refusal(error, method=self._method.path, account=caller.subject, client=client)
            raise
        return caller

    async def _caller(self, metadata: Mapping[str, str]) -> Caller:
        """Returns the bearer of the token. Other schemes are left to public methods, which may want them: the token
        endpoint takes Basic.
        """
        token = bearer_token(metadata.get("authorization", ""))
        return ANONYMOUS if token is None else await bearer_of(token, self._verifier, self._method.policy)

    def _counted(self, end: asyncio.Timeout) -> AbstractContextManager[None]:
        return self._streams.admit(end) if self._method.streams else nullcontext()

    def _read(self, request: bytes) -> Message:
        """Returns a message that fits the contract. Raises InvalidArgument."""
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

    async def _read_all(self, requests: AsyncIterator[bytes]) -> AsyncGenerator[Message, None]:
        """The messages of a stream. Raises InvalidArgument at the first that is wrong; the fields of its violations
        begin with its index.
        """
        index = 0
        async for request in requests:
            if index == STREAM_MESSAGES_MAX:
                raise InvalidArgument(
                    f"A stream may hold {STREAM_MESSAGES_MAX} messages at most.", reason="STREAM_TOO_LONG"
                )
            try:
                message = self._read(request)
            except InvalidArgument as error:
                raise _of_message(index, error) from error
            yield message
            index += 1


async def _in_context(call: Call, handle: Callable[[Call], Awaitable[Answer]]) -> Answer:
    token = current_call.set(call)
    try:
        return await handle(call)
    finally:
        current_call.reset(token)


def _of_message(index: int, error: InvalidArgument) -> InvalidArgument:
    """The error of one message of a stream."""
    violations = [FieldViolation(f"[{index}].{each.field}", each.description, each.reason) for each in error.violations]
    return InvalidArgument(f"[{index}]: {error.message}", reason=error.reason, violations=violations)


async def _abort(context: Context, error: MeshError) -> None:
    status = to_status(error)
    trailers = ((DETAILS_TRAILER, status.to_binary()), (correlation.REQUEST_ID, correlation.request_id()))
    await context.abort(_GRPC_CODES[error.code], status.message, trailers)
