"""The pipeline of one method: the steps of every call before and after its handler.

They are, in this order: deadline, token, policy of the contract; parsing and validation of each message; the handler.
An error becomes a google.rpc.Status that reveals no internals.
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
    ResourceExhausted,
    Unauthenticated,
)
from mesh.identity import ANONYMOUS, Caller, Verifier, authenticate, authorize, authorize_connection, bearer_token
from mesh.rpc import CLIENT_ADDRESS, WORKLOAD, Call, Handler, current_call
from mesh.rpc.status import DETAILS_TRAILER, to_status
from mesh.server.open_streams import CallEnd, OpenStreams
from mesh.server.stream_end import StreamEnd
from mesh.telemetry import correlation, tracing
from mesh.telemetry.metrics import SERVER_CALLS, SERVER_SECONDS, CountersByCode
from mesh.traceback_release import release_frames
from mesh.validation import Validator

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""The largest message. The limit of a method is smaller if its contract bounds the size of its request."""

STREAM_TIMEOUT_S: Final = 86_400.0
"""The longest life of a stream whose contract names no timeout."""

STREAM_MESSAGES_MAX: Final = 1_000_000
"""The most messages that one call may send."""

_GRPC_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Answer = TypeVar("Answer")

log = structlog.get_logger()


class Pipeline:
    """The pipeline of one method, which receives and returns bytes."""

    def __init__(self, handler: Handler, verifier: Verifier, validator: Validator, streams: OpenStreams) -> None:
        self._handler = handler
        self._method = handler.method
        self._verifier = verifier
        self._validator = validator
        self._streams = streams
        self._bytes_max = request_bytes_max(self._method.request.desc(), MESSAGE_BYTES_MAX)
        self._seconds = SERVER_SECONDS.labels(self._method.path)
        self._calls = CountersByCode(SERVER_CALLS, self._method.path)

    def method_handler(self) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Returns the handler to register with a gRPC server, by the kind of the method."""
        match self._method.kind:
            case "unary":
                return grpc.unary_unary_rpc_method_handler(self._unary)
            case "server_streaming":
                return grpc.unary_stream_rpc_method_handler(self._server_streaming)
            case "client_streaming":
                return grpc.stream_unary_rpc_method_handler(self._client_streaming)
            case "bidi_streaming":
                return grpc.stream_stream_rpc_method_handler(self._bidi_streaming)

    async def _unary(self, request: bytes, context: Context) -> bytes | None:
        async def handle(call: Call) -> bytes:
            return await self._answer(self._read(request), call)

        return await self._serve(context, handle)

    async def _server_streaming(self, request: bytes, context: Context) -> None:
        async def handle(call: Call) -> None:
            await self._send(self._read(request), call, context)

        await self._serve(context, handle)

    async def _client_streaming(self, requests: AsyncIterator[bytes], context: Context) -> bytes | None:
        async def handle(call: Call) -> bytes:
            async with aclosing(self._read_all(requests, StreamEnd(context))) as messages:
                return await self._answer(messages, call)

        return await self._serve(context, handle)

    async def _bidi_streaming(self, requests: AsyncIterator[bytes], context: Context) -> None:
        async def handle(call: Call) -> None:
            async with aclosing(self._read_all(requests, StreamEnd(context))) as messages:
                await self._send(messages, call, context)

        await self._serve(context, handle)

    async def _answer(self, request: Any, call: Call) -> bytes:
        try:
            response = await self._handler.serve(request, call)
        except BaseException:  # a call that is cancelled, too
            self._audit_failure(call, request)
            raise
        self._audit(call, request, response)
        return self._write(response)

    async def _send(self, request: Any, call: Call, context: Context) -> None:
        """Sends the responses, each once the client's flow control has room for it."""
        begun = False
        try:
            async with aclosing(self._handler.serve(request, call)) as responses:
                async for response in responses:
                    if not begun:
                        await _begin(context)
                        begun = True
                    await context.write(self._write(response))
        except BaseException:  # a call that is cancelled, too
            self._audit_failure(call, request)
            raise
        self._audit(call, request)

    def _audit(self, call: Call, request: Any, response: Message | None = None) -> None:
        if self._method.policy.audited:
            audit.record_change(call, request, response, outcome="succeeded")

    def _audit_failure(self, call: Call, request: Any) -> None:
        """Records a stream that failed, of whose changes a part may be committed. Unary calls commit all or nothing."""
        if self._method.policy.audited and self._method.streams:
            audit.record_change(call, request, None, outcome="failed")

    def _write(self, response: Message) -> bytes:
        """Returns a response as bytes. Raises ResourceExhausted if it is too large, with which gRPC would end the call
        after it has been counted.
        """
        written = response.to_binary()
        if len(written) > MESSAGE_BYTES_MAX:
            log.error("response too large", method=self._method.path, bytes=len(written))
            raise ResourceExhausted(
                f"The response is larger than {MESSAGE_BYTES_MAX} bytes.", reason="RESPONSE_TOO_LARGE"
            )
        return written

    async def _serve(self, context: Context, handle: Callable[[Call], Awaitable[Answer]]) -> Answer | None:
        """Serves a call: correlates logs and traces, sends errors, and records metrics."""
        started = time.monotonic()
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        correlation.bind(correlation.safe_request_id(metadata.get(correlation.REQUEST_ID, "")), metadata)
        code = Code.CANCELLED
        answer = None  # after an error gRPC doesn't look at it
        try:
            with tracing.span(self._method.path, "SERVER", metadata):
                answer = await self._handle_admitted(metadata, context, handle)
            code = Code.OK
        except Exception as error:  # noqa: BLE001 # _public_error() logs unexpected errors
            public = self._public_error(error)
            code = public.code
            try:
                await _abort(context, public)
            finally:
                release_frames(error)
        finally:
            elapsed_s = time.monotonic() - started
            self._seconds.observe(elapsed_s)
            self._calls[code].inc()
            log.debug("call", method=self._method.path, code=code.name, ms=round(elapsed_s * 1000, 1))
        return answer

    def _public_error(self, error: Exception) -> MeshError:
        """Returns the error that the caller gets, and logs one that is unexpected."""
        if isinstance(error, MeshError):
            return error
        log.error("handler failed", exc_info=error, method=self._method.path)
        return Internal("Internal error.")

    async def _handle_admitted(
        self, metadata: Mapping[str, str], context: Context, handle: Callable[[Call], Awaitable[Answer]]
    ) -> Answer:
        """Admits a call, and handles it within its deadline."""
        allowed_s = self._method.policy.timeout_s or (STREAM_TIMEOUT_S if self._method.streams else DEFAULT_TIMEOUT_S)
        remaining_s = context.time_remaining()
        if remaining_s is not None:
            allowed_s = min(allowed_s, remaining_s)
        deadline = time.monotonic() + allowed_s
        timeout = asyncio.timeout(allowed_s)
        end = CallEnd(timeout)
        try:
            async with timeout:
                with self._counted(end):
                    caller = await self._admit(metadata)
                    call = Call(self._method.path, caller, deadline, metadata, self._method.response)
                    with self._while_valid(caller, end):
                        return await _in_context(call, handle)
        except TimeoutError as error:
            if not timeout.expired():
                raise  # Not this call's deadline, but a timeout of something that its handler waited for.
            raise end.cause or DeadlineExceeded("The call took longer than its deadline allows.") from error

    async def _admit(self, metadata: Mapping[str, str]) -> Caller:
        """Returns the caller, if authorised. Raises Unauthenticated or PermissionDenied."""
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
        """Returns the caller by the bearer token, if any. Other schemes are ignored because handlers of public
        methods may use them: the token endpoint accepts Basic.
        """
        token = bearer_token(metadata.get("authorization", ""))
        return ANONYMOUS if token is None else await authenticate(token, self._verifier, self._method.policy)

    def _counted(self, end: CallEnd) -> AbstractContextManager[None]:
        return self._streams.admit(end) if self._method.streams else nullcontext()

    def _while_valid(self, caller: Caller, end: CallEnd) -> AbstractContextManager[None]:
        """Returns a context in which a stream ends with its user's token. Workloads renew theirs, and keep their
        streams.
        """
        if not self._method.streams or caller.workload is not None:
            return nullcontext()
        return self._verifier.watching(caller, end.stop)

    def _read(self, request: bytes) -> Message:
        """Parses and validates a message. Raises InvalidArgument."""
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

    async def _read_all(self, requests: AsyncIterator[bytes], end: StreamEnd) -> AsyncGenerator[Message, None]:
        """Yields the messages of a stream. Raises InvalidArgument at the first invalid one, whose index
        begins the fields of its violations, and CancelledError if the stream was cut off.
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
        await end.confirm()


async def _begin(context: Context) -> None:
    """Sends the headers of a stream of responses, to the end even if the stream has to end meanwhile: gRPC fails to
    abort a call whose headers are on their way. They don't wait for the client's flow control, as messages do.
    """
    sending = asyncio.ensure_future(context.send_initial_metadata(()))
    try:
        await asyncio.shield(sending)
    except asyncio.CancelledError:
        await asyncio.gather(sending, return_exceptions=True)
        raise


async def _in_context(call: Call, handle: Callable[[Call], Awaitable[Answer]]) -> Answer:
    token = current_call.set(call)
    try:
        return await handle(call)
    finally:
        current_call.reset(token)


def _of_message(index: int, error: InvalidArgument) -> InvalidArgument:
    """Returns the error of a message of a stream, with its index."""
    violations = [FieldViolation(f"[{index}].{each.field}", each.description, each.reason) for each in error.violations]
    return InvalidArgument(f"[{index}]: {error.message}", reason=error.reason, violations=violations)


async def _abort(context: Context, error: MeshError) -> None:
    """Ends a call with an error. gRPC keeps the AbortError beside the context, and raises it again when the handler has
    returned. If it passed through our frames, which refer to the context, only the garbage collector could free them.
    """
    status = to_status(error)
    trailers = ((DETAILS_TRAILER, status.to_binary()), (correlation.REQUEST_ID, correlation.request_id()))
    try:
        await context.abort(_GRPC_CODES[error.code], status.message, trailers)
    except grpc.aio.AbortError as aborted:
        release_frames(aborted)
