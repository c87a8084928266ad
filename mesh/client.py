"""Calls to other workloads: one channel each, with deadlines, retries of idempotent calls, a circuit breaker, and the
caller's token passed on. In a service mesh the mesh retries and breaks circuits, and the channel does neither.

A call has two limits. The timeout is the contract's: the workload is told it. The patience is what this call's caller
has left; it is enforced here alone, so that no caller can make a workload, or a proxy before it, fail.

Requests are serialised before the call and travel as bytes: grpc.aio swallows an exception of a request serialiser and
sends an empty request instead (grpc/grpc#34894).
"""

import asyncio
import contextlib
import math
import re
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import grpc
import grpc.aio
from googleapis.google.rpc.status_pb import Status
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from mesh.breaker import Breaker
from mesh.contract.policy import DEFAULT_TIMEOUT_S
from mesh.errors import (
    BrokenReply,
    Cancelled,
    Code,
    DeadlineExceeded,
    MeshError,
    Metadata,
    MetadataTooLarge,
    Unavailable,
    error_for,
)
from mesh.identity import ServiceTokens
from mesh.rpc import CLIENT_ADDRESS, Method, Req, Res, current_call
from mesh.rpc.status import DETAILS_TRAILER, from_status
from mesh.stream_connections import StreamConnections
from mesh.telemetry import correlation, tracing
from mesh.telemetry.metrics import CLIENT_CALLS
from mesh.withheld import OPAQUE, by_library, is_deliberate, log_withheld

ATTEMPTS_MAX = 3
DEADLINE_COUNTS_S = 1.0
"""A workload that answers nothing for a shorter timeout may be busy; after a longer one it is taken for hung."""

DEADLINE_NEAR_S = 0.01
"""How long before its deadline a call may fail in other words because of it: gRPC's core resets the stream, and reports
that as UNKNOWN, "Stream removed", or as CANCELLED, INTERNAL or UNAVAILABLE.
"""

RETRY_WAIT_S_MAX = 0.5
CONNECT_S = 1.2  # a little more than the longest pause between two tries to connect
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
KEEPALIVE_S = 30.0
"""What mesh.server lets its clients do."""

# The texts of these come from a gRPC library or a crashed handler, and hold addresses and stack traces.
_NEUTRAL_TEXTS = {
    Code.UNAVAILABLE: "A service that this call needs is not available for now.",
    Code.DEADLINE_EXCEEDED: "The call took longer than its deadline allows.",
    Code.CANCELLED: "The call was cancelled.",
    Code.INTERNAL: "Internal error.",
    Code.UNKNOWN: "Internal error.",
    Code.DATA_LOSS: "Internal error.",
}

# How gRPC's library begins to tell what it made a status of, where the workload sent none that can be read.
_NO_STATUS = re.compile(r"Stream removed|Received http2 header|Received message larger|Decompression failed")
_METADATA_TOO_LARGE = re.compile(r"received metadata size exceeds|Received http2 header with status: 431")
_NO_STATUS_CODES = frozenset({Code.UNKNOWN, Code.INTERNAL, Code.UNIMPLEMENTED, Code.RESOURCE_EXHAUSTED})

_OF_PASSED_DEADLINES = frozenset({Code.UNKNOWN, Code.INTERNAL, Code.CANCELLED, Code.UNAVAILABLE})

_SETTLED = frozenset({grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.SHUTDOWN})

# A server that stops cancels the calls that wait for it still.
_NOT_TAKEN = (Unavailable, Cancelled)

_OPTIONS: list[tuple[str, Any]] = [
    # A workload that was restarted is found again within a second; gRPC's own back-off grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # In spite of its name this is how long one try to connect may take, TLS and the server's first frame included.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Without this, channels to one address share a connection, and a second channel would wait for the back-off of the
    # first.
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True, slots=True)
class UnaryReply:
    """The answer to a call: its message as bytes, and the metadata before and after it."""

    message: bytes
    initial_metadata: Metadata
    trailing_metadata: Metadata

    @property
    def metadata(self) -> Metadata:
        """All of the metadata."""
        return (*self.initial_metadata, *self.trailing_metadata)


class Stream:
    """The messages that a workload answers with, as bytes: an asynchronous iterator. It raises the MeshError that the
    call ended with, or the exception that ended the requests.
    """

    def __init__(
        self,
        call: "grpc.aio.StreamStreamCall[bytes, bytes]",
        sending: asyncio.Task[None],
        begun: Callable[[], None],
        failure: Callable[[grpc.aio.AioRpcError], MeshError],
    ) -> None:
        """`begun` is called when the first message is there, `failure` makes the error that the call ends with."""
        self._call = call
        self._messages = aiter(call)
        self._sending = sending
        self._begun: Callable[[], None] | None = begun
        self._failure = failure
        self._is_overdue = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            message = await anext(self._messages)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not the task was cancelled but the call: by stop(), by what ended the requests, or because its channel was
            # closed.
            if self._is_overdue:
                raise _deadline_exceeded() from None
            if self._sending.done() and (cause := _ended_by(self._sending)) is not None:
                raise cause from None
            raise Unavailable(_NEUTRAL_TEXTS[Code.UNAVAILABLE], retry_after_s=1) from None
        if self._begun is not None:
            self._begun()
            self._begun = None
        return message

    def stop(self) -> None:
        """Ends the call because its caller waits no longer."""
        if not self._call.done():
            self._is_overdue = True
            self._call.cancel()

    async def initial_metadata(self) -> Metadata:
        """The metadata before the first message; waits for it."""
        return tuple(await self._call.initial_metadata())

    async def trailing_metadata(self) -> Metadata:
        """The metadata after the last message; waits for the end."""
        return tuple(await self._call.trailing_metadata())


class Channel:
    """The way to one workload at one address; an async context manager that closes it."""

    def __init__(
        self,
        workload: str,
        address: str,
        *,
        tokens: ServiceTokens | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        keepalive_s: float = KEEPALIVE_S,
        bare_messages: bool = False,
        in_mesh: bool = False,
    ) -> None:
        """`tokens` are needed for calls that this process makes as itself, `credentials` for TLS. A quiet connection is
        tried every `keepalive_s`, as often as the workload's server puts up with it. `bare_messages` passes on the
        messages of errors without google.rpc.Status, which may hold internals. `in_mesh` leaves retries and circuit
        breaking to a service mesh.
        """
        options = [*_OPTIONS, ("grpc.keepalive_time_ms", int(keepalive_s * 1000))]
        self.name = workload
        self._address = address
        self._tokens = tokens
        self._bare_messages = bare_messages
        self._in_mesh = in_mesh
        self._breaker = Breaker()
        connect = (
            partial(grpc.aio.insecure_channel, address, options=options)
            if credentials is None
            else partial(grpc.aio.secure_channel, address, credentials, options=options)
        )
        self._channel = connect()
        self._unary: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}
        self._streams = StreamConnections(connect)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._streams.close()
        await self._channel.close()

    async def check(self) -> None:
        """Returns if the workload can be reached; raises Unavailable otherwise."""
        state = self._channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise Unavailable("can't be reached")
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)

    async def call(self, method: Method[Req, Res], request: Req, *, timeout_s: float | None = None) -> Res:
        """Calls a method of a contract within `timeout_s`, the contract's timeout unless given. The caller waits no
        longer than the call being handled has left.

        Raises the MeshError that the workload answered with, or Unavailable, or DeadlineExceeded.
        """
        reply = await self.unary(
            method.path,
            request.to_binary(),
            timeout_s=timeout_s or method.policy.timeout_s or DEFAULT_TIMEOUT_S,
            patience_s=_patience_s(),
            metadata=await self._metadata(method),
            idempotent=method.idempotent,
        )
        return _parse(method, reply.message)

    def open(
        self, method: Method[Req, Res], request: Req, *, timeout_s: float | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Res]]:
        """Calls a method that answers a stream, while this is entered: see exchange()."""
        return self.exchange(method, _single(request), timeout_s=timeout_s)

    async def collect(
        self, method: Method[Req, Res], requests: AsyncIterable[Req], *, timeout_s: float | None = None
    ) -> Res:
        """Calls a method that takes a stream and answers one message. Raises as exchange() does."""
        async with self.exchange(method, requests, timeout_s=timeout_s) as responses:
            async for response in responses:
                return response
        raise _broken_reply()

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: Method[Req, Res], requests: AsyncIterable[Req], *, timeout_s: float | None = None
    ) -> AsyncIterator[AsyncIterator[Res]]:
        """Calls a method with a stream of messages for a stream of messages, while this is entered; leaving it early
        cancels the call. `requests` are taken one by one as fast as the workload takes them.

        The deadline is `timeout_s` or the contract's; without both the stream has none. It is given up earlier if the
        call being handled has less time. Iterating raises the MeshError that the workload ended the stream with, or
        the exception that ended `requests`.
        """
        async with self.stream(
            method.path,
            _serialised(requests),
            timeout_s=timeout_s or method.policy.timeout_s,
            patience_s=_patience_s(),
            metadata=await self._metadata(method),
        ) as responses:
            yield _parsed(method, responses)

    async def _metadata(self, method: Method[Any, Any]) -> Metadata:
        headers = dict(tracing.inject())
        call = current_call.get()
        token = call.caller.token if call is not None and not method.policy.internal else ""
        if not token and self._tokens is not None:
            token = await self._tokens.token()
        if token:
            headers["authorization"] = f"Bearer {token}"
        if request_id := correlation.request_id():
            headers[correlation.REQUEST_ID] = request_id
        if call is not None and (address := call.metadata.get(CLIENT_ADDRESS)):
            headers[CLIENT_ADDRESS] = address
        return tuple(headers.items())

    async def unary(
        self,
        path: str,
        request: bytes,
        *,
        timeout_s: float,
        patience_s: float = math.inf,
        metadata: Metadata = (),
        idempotent: bool = False,
    ) -> UnaryReply:
        """Calls a method by its path, bytes in and bytes out. The workload is told `timeout_s`; who waits only
        `patience_s` gets DeadlineExceeded after it. Idempotent calls are repeated while the workload does not take them
        and time is left.
        """
        if patience_s <= 0:
            raise _deadline_exceeded()
        try:
            async with asyncio.timeout(patience_s if patience_s < timeout_s else None) as patience:
                return await self._attempts(path, request, timeout_s, patience_s, metadata, idempotent=idempotent)
        except TimeoutError:
            if not patience.expired():
                raise
            raise _deadline_exceeded() from None

    async def _attempts(
        self, path: str, request: bytes, timeout_s: float, patience_s: float, metadata: Metadata, *, idempotent: bool
    ) -> UnaryReply:
        deadline = time.monotonic() + timeout_s
        connected_by = _connected_by(min(timeout_s, patience_s))
        try:
            return await self._attempt(path, request, deadline, metadata, connected_by)
        except _NOT_TAKEN as error:
            if not idempotent or self._in_mesh or error.reason == "CIRCUIT_OPEN":
                raise
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS_MAX - 1),
            wait=wait_random_exponential(multiplier=0.05, max=RETRY_WAIT_S_MAX),
            retry=retry_if_exception_type(_NOT_TAKEN),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                return await self._attempt(path, request, deadline, metadata, connected_by)
        raise AssertionError("tenacity returns or raises")

    @contextlib.asynccontextmanager
    async def stream(
        self,
        path: str,
        requests: AsyncIterable[bytes],
        *,
        timeout_s: float | None,
        patience_s: float = math.inf,
        metadata: Metadata = (),
    ) -> AsyncIterator[Stream]:
        """Calls a method of any kind by its path, while this is entered; leaving it early cancels the call. `requests`
        are asked for one by one, as the workload takes them. Without `timeout_s` the call has no deadline. Who waits
        only `patience_s` gets DeadlineExceeded after it.
        """
        self._check_breaker()
        begun = time.monotonic()
        with self._streams.place() as connection:
            await _connected(connection.channel, _connected_by(min(timeout_s or math.inf, patience_s)))
            deadline = math.inf if timeout_s is None else begun + timeout_s
            left_s = None if timeout_s is None else deadline - time.monotonic()
            call = connection.method(path)(timeout=left_s, metadata=metadata)
            sending = asyncio.create_task(_send(call, requests), name=f"requests of {path}")
            failure = partial(self._failure, path, deadline)
            stream = Stream(call, sending, self._breaker.answered, failure)
            wait_s = begun + patience_s - time.monotonic() if patience_s < (timeout_s or math.inf) else math.inf
            patience = asyncio.get_running_loop().call_later(wait_s, stream.stop)
            try:
                yield stream
            finally:
                patience.cancel()
                sending.cancel()
                call.cancel()
                await asyncio.wait([sending])
                code, trailers = Code((await call.code()).value[0]), dict(await call.trailing_metadata())
                # The deadline of a stream says nothing of the workload, which may have no news.
                self._record(begun, math.inf, code, is_bare=DETAILS_TRAILER not in trailers)

    async def _attempt(
        self, path: str, request: bytes, deadline: float, metadata: Metadata, connected_by: float
    ) -> UnaryReply:
        begun = time.monotonic()
        if begun >= deadline:
            raise _deadline_exceeded()
        self._check_breaker()
        multicallable = self._unary.get(path)
        if multicallable is None:
            multicallable = self._unary[path] = self._channel.unary_unary(path)
        try:
            await _connected(self._channel, connected_by)
            call = multicallable(request, timeout=deadline - time.monotonic(), metadata=metadata)
            message = await call
        except grpc.aio.AioRpcError as error:
            failure = self._failure(path, deadline, error)
            self._record(begun, deadline, failure.code, is_bare=not _details(error))
            raise failure from error
        except asyncio.CancelledError:
            self._record(begun, deadline, Code.CANCELLED)
            raise
        if message is None:  # OK, and nothing else: grpc.aio takes it for an answer
            self._record(begun, deadline, Code.INTERNAL)
            raise _broken_reply()
        self._record(begun, deadline, Code.OK)
        return UnaryReply(message, tuple(await call.initial_metadata()), tuple(await call.trailing_metadata()))

    def _failure(self, path: str, deadline: float, error: grpc.aio.AioRpcError) -> MeshError:
        """The MeshError of a failed call; what of it is not passed on is logged. `deadline` is a time.monotonic()
        second.
        """
        failure = _failure(error, bare_messages=self._bare_messages)
        details = _details(error)
        if not details and failure.code in _OF_PASSED_DEADLINES and time.monotonic() >= deadline - DEADLINE_NEAR_S:
            return _deadline_exceeded()
        log_withheld(self.name, path, failure, error.details() or "", details)
        return failure

    def _check_breaker(self) -> None:
        if not self._in_mesh and (wait_s := self._breaker.wait_s()):
            raise Unavailable(_NEUTRAL_TEXTS[Code.UNAVAILABLE], reason="CIRCUIT_OPEN", retry_after_s=wait_s)

    def _record(self, begun: float, deadline: float, code: Code, *, is_bare: bool = True) -> None:
        """Tells the breaker how a call ended that had the time from `begun` to `deadline`. `is_bare` says that no
        google.rpc.Status came: the status may be of gRPC's library, or of a proxy.
        """
        CLIENT_CALLS.labels(self.name, code.name).inc()
        is_late = time.monotonic() >= deadline - DEADLINE_NEAR_S and deadline - begun >= DEADLINE_COUNTS_S
        if is_bare and (code is Code.UNAVAILABLE or (code is Code.DEADLINE_EXCEEDED and is_late)):
            self._breaker.failed(begun)
        elif is_bare and code in (Code.CANCELLED, Code.DEADLINE_EXCEEDED):
            self._breaker.given_up()
        else:
            self._breaker.answered()


def _patience_s() -> float:
    """The seconds that are left for the call being handled."""
    call = current_call.get()
    return math.inf if call is None else call.remaining_s()


async def _single(message: Req) -> AsyncIterator[Req]:
    yield message


async def _serialised(requests: AsyncIterable[Req]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request.to_binary()


async def _parsed(method: Method[Req, Res], responses: Stream) -> AsyncIterator[Res]:
    async for response in responses:
        yield _parse(method, response)


def _parse(method: Method[Req, Res], message: bytes) -> Res:
    """Reads a response. Raises BrokenReply if the bytes are no message of the contract."""
    try:
        return method.response.from_binary(message)
    except (ValueError, EOFError) as error:
        raise _broken_reply() from error


async def _connected(channel: grpc.aio.Channel, until: float) -> None:
    """Waits for a connection that is being made, as when a workload restarts: a call fails at once if the try to
    connect that it waits for does. `until` is a time.monotonic() second.
    """
    state = channel.get_state(try_to_connect=True)
    if state in _SETTLED:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(until - time.monotonic()):
            while state not in _SETTLED:
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)


def _connected_by(timeout_s: float | None) -> float:
    """The time.monotonic() second until which a call waits for its connection: time is left for the call."""
    return time.monotonic() + (CONNECT_S if timeout_s is None else min(CONNECT_S, timeout_s / 2))


async def _send(call: "grpc.aio.StreamStreamCall[bytes, bytes]", requests: AsyncIterable[bytes]) -> None:
    """Sends the requests; what ends them early ends the call.

    Messages go past call.write(), which takes one that comes after the call's end for an internal error and puts that
    in the place of the status the workload sends.
    """
    raw: Any = call
    source = aiter(requests)
    try:
        async for request in source:
            await call.wait_for_connection()
            await raw._cython_call.send_serialized_message(request)
        await call.done_writing()
    except (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
        return  # The call is over, and its status says why.
    except BaseException:
        call.cancel()
        raise
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


def _ended_by(sending: asyncio.Task[None]) -> BaseException | None:
    """What ended the requests before the call was over, None if nothing did."""
    return None if sending.cancelled() else sending.exception()


def _failure(error: grpc.aio.AioRpcError, *, bare_messages: bool) -> MeshError:
    """The MeshError of a failed call: the one that the workload sent as google.rpc.Status, or one made of the bare
    code and text.
    """
    failure = _sent_failure(error) or _bare_failure(error, bare_messages=bare_messages)
    failure.initial_metadata = tuple(error.initial_metadata() or ())
    failure.trailing_metadata = tuple(error.trailing_metadata() or ())
    return failure


def _details(error: grpc.aio.AioRpcError) -> bytes:
    """The google.rpc.Status that came with an error, empty if none did."""
    details = dict(error.trailing_metadata() or ()).get(DETAILS_TRAILER)
    return details if isinstance(details, bytes) else b""


def _sent_failure(error: grpc.aio.AioRpcError) -> MeshError | None:
    """The error that the workload means, None if it sent none."""
    if not (details := _details(error)):
        return None
    try:
        status = Status.from_binary(details)
        failure = from_status(status)
    except (ValueError, EOFError):
        return None
    if status.code != error.code().value[0] or not is_deliberate(status):
        return None
    failure.received_status = details
    return failure


def _bare_failure(error: grpc.aio.AioRpcError, *, bare_messages: bool) -> MeshError:
    kind, text = error_for(error.code().value[0]), error.details() or ""
    if _METADATA_TOO_LARGE.match(text):
        text = "The headers of the request are larger than the service takes."
        return MetadataTooLarge(text, reason="HEADERS_TOO_LARGE")
    if kind.code in _NO_STATUS_CODES and _NO_STATUS.match(text):
        return _broken_reply()
    neutral = _NEUTRAL_TEXTS.get(kind.code)
    if neutral is not None and not (bare_messages and text and kind.code in OPAQUE and not by_library(text)):
        text = neutral
    return kind(text or kind.code.name, retry_after_s=1 if kind is Unavailable else None)


def _deadline_exceeded() -> DeadlineExceeded:
    return DeadlineExceeded(_NEUTRAL_TEXTS[Code.DEADLINE_EXCEEDED])


def _broken_reply() -> BrokenReply:
    return BrokenReply("The service gave no proper answer.", reason="BAD_RESPONSE")
