"""The pipeline of one method: the steps of every call before and after its handler.

They are, in this order: deadline, token, policy of the contract; parsing and validation of each message; the handler.
An error becomes a google.rpc.Status that reveals no internals.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from functools import partial
from typing import Any, Final, TypeAlias

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
    error_for,
)
from mesh.http2.server.call import Route, ServerCall
from mesh.identity import ANONYMOUS, Caller, Verifier, authenticate, authorize, authorize_connection, bearer_token
from mesh.rpc import CLIENT_ADDRESS, WORKLOAD, Call, Handler, current_call
from mesh.rpc.call_error import CallError
from mesh.rpc.parse_errors import PARSE_ERRORS
from mesh.rpc.status import DETAILS_TRAILER, to_status
from mesh.server.open_streams import CallEnd, OpenStreams
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

Handle: TypeAlias = Callable[[ServerCall, Call], Awaitable[bytes | None]]
"""What admitted calls get. Returns the response, None if the call has sent a stream of them."""

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

    def route(self) -> Route:
        """Returns the route to the method, for the server."""
        handle, takes_stream = {
            "unary": (self._unary, False),
            "server_streaming": (self._server_streaming, False),
            "client_streaming": (self._client_streaming, True),
            "bidi_streaming": (self._bidi_streaming, True),
        }[self._method.kind]
        return Route(partial(self._serve, handle), takes_stream, MESSAGE_BYTES_MAX)

    async def _unary(self, incoming: ServerCall, call: Call) -> bytes:
        return await self._answer(self._read(incoming.request()), call)

    async def _server_streaming(self, incoming: ServerCall, call: Call) -> None:
        await self._send(self._read(incoming.request()), call, incoming)

    async def _client_streaming(self, incoming: ServerCall, call: Call) -> bytes:
        async with aclosing(self._read_all(incoming)) as messages:
            return await self._answer(messages, call)

    async def _bidi_streaming(self, incoming: ServerCall, call: Call) -> None:
        async with aclosing(self._read_all(incoming)) as messages:
            await self._send(messages, call, incoming)

    async def _answer(self, request: Any, call: Call) -> bytes:
        try:
            response = await self._handler.serve(request, call)
        except BaseException:  # a call that is cancelled, too
            self._audit_failure(call, request)
            raise
        self._audit(call, request, response)
        return self._write(response)

    async def _send(self, request: Any, call: Call, incoming: ServerCall) -> None:
        """Sends the responses, each once the client's flow control has room for it."""
        try:
            async with aclosing(self._handler.serve(request, call)) as responses:
                async for response in responses:
                    await incoming.write(self._write(response))
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
        """Returns a response as bytes. Raises ResourceExhausted if it is larger than clients accept."""
        written = response.to_binary()
        if len(written) > MESSAGE_BYTES_MAX:
            log.error("response too large", method=self._method.path, bytes=len(written))
            raise ResourceExhausted(
                f"The response is larger than {MESSAGE_BYTES_MAX} bytes.", reason="RESPONSE_TOO_LARGE"
            )
        return written

    async def _serve(self, handle: Handle, incoming: ServerCall) -> None:
        """Serves a call: correlates logs and traces, sends errors, and records metrics."""
        started = time.monotonic()
        metadata = incoming.head.metadata
        correlation.bind(correlation.safe_request_id(metadata.get(correlation.REQUEST_ID, "")), metadata)
        code = Code.CANCELLED
        try:
            with tracing.span(self._method.path, "SERVER", metadata):
                incoming.finish(await self._handle_admitted(incoming, handle))
            code = Code.OK
        except Exception as error:  # noqa: BLE001 # _public_error() logs unexpected errors
            public = self._public_error(error)
            code = public.code
            _abort(incoming, public)
            release_frames(error)
        except asyncio.CancelledError as error:
            release_frames(error)  # the task keeps it, and its frames refer to the task by their timeouts
            raise
        finally:
            elapsed_s = time.monotonic() - started
            self._seconds.observe(elapsed_s)
            self._calls[code].inc()
            log.debug("call", method=self._method.path, code=code.name, ms=round(elapsed_s * 1000, 1))

    def _public_error(self, error: Exception) -> MeshError:
        """Returns the error that the caller gets, and logs one that is unexpected."""
        if isinstance(error, MeshError):
            return error
        if isinstance(error, CallError):
            return self._unreadable(error)
        log.error("handler failed", exc_info=error, method=self._method.path)
        return Internal("Internal error.")

    def _unreadable(self, error: CallError) -> MeshError:
        """Returns the error of a request that the transport could not read. It is the client's fault, for which nobody
        is to be alerted.
        """
        log.info("unreadable request", method=self._method.path, code=error.code.name, error=error.text)
        if error.code is Code.INTERNAL:
            return InvalidArgument("The request is damaged.", reason="MALFORMED_MESSAGE")
        return error_for(error.code)(error.text)

    async def _handle_admitted(self, incoming: ServerCall, handle: Handle) -> bytes | None:
        """Admits a call, and handles it within its deadline."""
        allowed_s = self._method.policy.timeout_s or (STREAM_TIMEOUT_S if self._method.streams else DEFAULT_TIMEOUT_S)
        deadline = time.monotonic() + allowed_s
        if incoming.deadline is not None and incoming.deadline < deadline:
            deadline, allowed_s = incoming.deadline, incoming.deadline - time.monotonic()
        metadata = incoming.head.metadata
        timeout = asyncio.timeout(allowed_s)
        end = CallEnd(timeout)
        try:
            async with timeout:
                with self._counted(end):
                    caller = await self._admit(metadata)
                    call = Call(self._method.path, caller, deadline, metadata, self._method.response)
                    with self._while_valid(caller, end):
                        return await _in_context(handle, incoming, call)
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
        except PARSE_ERRORS as error:
            raise InvalidArgument(
                f"The request is not a {kind.desc().type_name}.", reason="MALFORMED_MESSAGE"
            ) from error

    async def _read_all(self, incoming: ServerCall) -> AsyncGenerator[Message, None]:
        """Yields the messages of a stream. Raises InvalidArgument at the first invalid one, whose index
        begins the fields of its violations, and CancelledError if the stream was cut off.
        """
        index = 0
        async with aclosing(incoming.requests()) as requests:
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


async def _in_context(handle: Handle, incoming: ServerCall, call: Call) -> bytes | None:
    token = current_call.set(call)
    try:
        return await handle(incoming, call)
    finally:
        current_call.reset(token)


def _of_message(index: int, error: InvalidArgument) -> InvalidArgument:
    """Returns the error of a message of a stream, with its index."""
    violations = [FieldViolation(f"[{index}].{each.field}", each.description, each.reason) for each in error.violations]
    return InvalidArgument(f"[{index}]: {error.message}", reason=error.reason, violations=violations)


def _abort(incoming: ServerCall, error: MeshError) -> None:
    status = to_status(error)
    trailers = ((DETAILS_TRAILER, status.to_binary()), (correlation.REQUEST_ID, correlation.request_id()))
    incoming.abort(error.code, status.message, trailers)
