"""A channel to a workload that carries bytes: deadlines, retries of idempotent calls, a circuit breaker.

In a service mesh the mesh retries and breaks circuits, and the channel does neither. docs/decisions/0070-retries.md
says which calls are retried, and how their number is bounded.

A call has two limits. The timeout is the contract's, and is sent to the workload. The patience is the time that the
caller has left. It is enforced here only, so that impatient callers don't make the workload look broken to a proxy.

Requests are serialised before the call and travel as bytes: grpc.aio swallows an exception of a request serialiser and
sends an empty request instead (grpc/grpc#34894). The transport carries them.
"""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Self

from mesh.client.circuit_breaker import CircuitBreaker
from mesh.client.credentials import Credentials
from mesh.client.failures import broken_response, deadline_exceeded, failure_of, status_bytes, unavailable
from mesh.client.http2_transport import Http2Transport
from mesh.client.redaction import log_redacted
from mesh.client.response import UnaryResponse
from mesh.client.retry_budget import RetryBudget
from mesh.client.stream import Stream, send_requests
from mesh.client.transport import ATTEMPTS_MAX, CONNECT_S, KEEPALIVE_S, OpenTransport, StreamCall
from mesh.errors import Cancelled, Code, MeshError, Metadata, Unavailable
from mesh.rpc.call_error import CallError
from mesh.rpc.status import DETAILS_TRAILER
from mesh.telemetry.metrics import CLIENT_CALLS, CountersByCode

DEADLINE_COUNTS_S = 1.0
"""The shortest timeout whose expiry counts as a failure of the workload. After a shorter one it may just be busy."""

DEADLINE_NEAR_S = 0.01
"""The time before a deadline in which a failure is attributed to it: gRPC's core resets the stream, and reports that as
UNKNOWN ("Stream removed"), CANCELLED, INTERNAL or UNAVAILABLE.
"""

SLOW_S = 10.0
"""Unary calls that may take longer than this are slow ones for the circuit breaker, as are all streams."""

RETRY_WAIT_S = 0.05
"""The longest pause before the first retry; each further one may be twice as long."""

_DEADLINE_PASSED_CODES = frozenset({Code.UNKNOWN, Code.INTERNAL, Code.CANCELLED, Code.UNAVAILABLE})

# The errors of calls that no handler has processed. A server that stops cancels the calls that it has not accepted.
_NOT_ACCEPTED = (Unavailable, Cancelled)


class RawChannel:
    """A channel to one workload at one address. It is an async context manager that closes it."""

    def __init__(
        self,
        workload: str,
        address: str,
        *,
        credentials: Credentials | None = None,
        keepalive_s: float = KEEPALIVE_S,
        bare_messages: bool = False,
        in_mesh: bool = False,
        transport: OpenTransport = Http2Transport,
    ) -> None:
        """Opens the channel. `credentials` are needed for TLS. `keepalive_s` is the pause between keepalive pings;
        servers close connections that ping too often. `bare_messages` passes on the messages of errors without
        google.rpc.Status, which may reveal internals. `in_mesh` leaves retries and circuit breaking to a service mesh.
        `transport` carries the calls.
        """
        self.name = workload
        self._bare_messages = bare_messages
        self._in_mesh = in_mesh
        self._breaker = CircuitBreaker()
        self._retries = RetryBudget()
        self._counters = CountersByCode(CLIENT_CALLS, workload)
        self._transport = transport(address, credentials, keepalive_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    async def check(self) -> None:
        """Raises Unavailable if the workload can't be reached."""
        await self._transport.check()

    async def unary(
        self,
        path: str,
        request: bytes,
        *,
        timeout_s: float,
        patience_s: float = math.inf,
        metadata: Metadata = (),
        idempotent: bool = False,
    ) -> UnaryResponse:
        """Calls a unary method by its path. `timeout_s` is sent to the workload as the deadline; after `patience_s` the
        call is cancelled. Either raises DeadlineExceeded. Idempotent calls are retried if the workload did not accept
        them and time is left.
        """
        if patience_s <= 0:
            raise deadline_exceeded()
        if patience_s >= timeout_s:
            return await self._attempts(path, request, timeout_s, patience_s, metadata, idempotent=idempotent)
        async with _within(patience_s):
            return await self._attempts(path, request, timeout_s, patience_s, metadata, idempotent=idempotent)

    async def _attempts(
        self, path: str, request: bytes, timeout_s: float, patience_s: float, metadata: Metadata, *, idempotent: bool
    ) -> UnaryResponse:
        deadline = time.monotonic() + timeout_s
        connect_by = _connect_deadline(min(timeout_s, patience_s))
        left, wait_s = ATTEMPTS_MAX, RETRY_WAIT_S
        while True:
            try:
                return await self._attempt(path, request, deadline, metadata, connect_by, left)
            except _NOT_ACCEPTED as error:
                left -= _attempts(error)
                if not idempotent or self._in_mesh or not left or _is_final(error) or not self._retries.withdraw():
                    raise
            await asyncio.sleep(random.uniform(0, wait_s))
            wait_s *= 2

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
        """Calls a method of any kind by its path; leaving the context early cancels the call. `requests` are read one
        at a time, as fast as the workload accepts them. Without `timeout_s` the call has no deadline. After
        `patience_s` the call is cancelled and raises DeadlineExceeded.
        """
        if patience_s <= 0:
            raise deadline_exceeded()
        patience_by = time.monotonic() + patience_s if patience_s < (timeout_s or math.inf) else math.inf
        await self._enter_breaker(slow=True)
        begun = time.monotonic()
        deadline = math.inf if timeout_s is None else begun + timeout_s
        connect_by = _connect_deadline(min(timeout_s or math.inf, patience_s))
        failure = partial(self._failure, path, deadline)
        opening = self._transport.stream(path, connect_by=connect_by, deadline=deadline, metadata=metadata)
        async with contextlib.AsyncExitStack() as stack:
            call = await self._enter(stack, opening, begun, patience_by, failure)
            sending = asyncio.create_task(send_requests(call, requests), name=f"requests of {path}")
            stream = Stream(call, sending, self._breaker.record_answer, failure)
            left_s = patience_by - time.monotonic()
            patience = asyncio.get_running_loop().call_later(left_s, lambda: stream.stop(deadline_exceeded()))
            try:
                yield stream
            finally:
                patience.cancel()
                sending.cancel()
                call.cancel()
                await asyncio.wait([sending])
                code, trailers = await call.code(), dict(await call.trailing_metadata())
                # A stream that reaches its deadline is no sign of a failure: there may have been nothing to send.
                self._record(begun, math.inf, code, is_bare=DETAILS_TRAILER not in trailers)

    async def _enter(
        self,
        stack: contextlib.AsyncExitStack,
        opening: AbstractAsyncContextManager[StreamCall],
        begun: float,
        patience_by: float,
        failure: Callable[[CallError], MeshError],
    ) -> StreamCall:
        """Enters a stream of the transport. Its caller waits until the time.monotonic() second `patience_by`."""
        async with _within(patience_by - time.monotonic()):
            try:
                return await stack.enter_async_context(opening)
            except CallError as error:
                self._record(begun, math.inf, error.code)
                raise failure(error) from error
            except asyncio.CancelledError:
                self._record(begun, math.inf, Code.CANCELLED)
                raise

    async def _attempt(
        self, path: str, request: bytes, deadline: float, metadata: Metadata, connect_by: float, attempts_max: int
    ) -> UnaryResponse:
        begun = time.monotonic()
        if begun >= deadline:
            raise deadline_exceeded()
        if await self._enter_breaker(slow=deadline - begun > SLOW_S):
            begun = time.monotonic()
        try:
            response = await self._transport.unary(
                path, request, connect_by=connect_by, deadline=deadline, metadata=metadata, attempts_max=attempts_max
            )
        except CallError as error:
            failure = self._failure(path, deadline, error)
            self._record(begun, deadline, failure.code, is_bare=not status_bytes(error))
            raise failure from error
        except asyncio.CancelledError:
            self._record(begun, deadline, Code.CANCELLED)
            raise
        if response is None:
            self._record(begun, deadline, Code.INTERNAL)
            raise broken_response()
        self._record(begun, deadline, Code.OK)
        return response

    def _failure(self, path: str, deadline: float, error: CallError) -> MeshError:
        """Returns the MeshError of a failed call, and logs the details that are withheld from the caller. `deadline` is
        a time.monotonic() second.
        """
        failure = failure_of(error, bare_messages=self._bare_messages)
        details = status_bytes(error)
        if not details and failure.code in _DEADLINE_PASSED_CODES and time.monotonic() >= deadline - DEADLINE_NEAR_S:
            return deadline_exceeded()
        log_redacted(self.name, path, failure, error.text, details)
        return failure

    async def _enter_breaker(self, *, slow: bool) -> bool:
        """Waits for a probe of the workload, if there is one. Returns whether the call had to wait. Raises Unavailable
        if the circuit is open.
        """
        if self._in_mesh or not (wait_s := self._breaker.admit(slow=slow)):
            return False
        if await self._breaker.probe_settles():
            wait_s = self._breaker.admit(slow=slow)
        if wait_s:
            raise unavailable(reason="CIRCUIT_OPEN", retry_after_s=wait_s)
        return True

    def _record(self, begun: float, deadline: float, code: Code, *, is_bare: bool = True) -> None:
        """Records the outcome of a call that had the time from `begun` to `deadline`. `is_bare` means that no
        google.rpc.Status came with it, so that the status may be that of gRPC's library or of a proxy.
        """
        self._counters[code].inc()
        is_late = time.monotonic() >= deadline - DEADLINE_NEAR_S and deadline - begun >= DEADLINE_COUNTS_S
        if is_bare and (code is Code.UNAVAILABLE or (code is Code.DEADLINE_EXCEEDED and is_late)):
            self._breaker.record_failure(begun)
        elif is_bare and code in (Code.CANCELLED, Code.DEADLINE_EXCEEDED):
            self._breaker.record_abandoned()
        else:
            self._breaker.record_answer()
            self._retries.deposit()


def _attempts(error: MeshError) -> int:
    """Returns how often the transport has made a call that failed; 1 if the circuit breaker rejected it."""
    return error.__cause__.attempts if isinstance(error.__cause__, CallError) else 1


def _is_final(error: MeshError) -> bool:
    """Returns whether a call must not be retried now: the circuit is open, or the workload has answered by a
    google.rpc.RetryInfo, which names a later time. One of its own calls may have failed after all retries.
    """
    return error.reason == "CIRCUIT_OPEN" or (bool(error.received_status) and error.retry_after_s is not None)


@contextlib.asynccontextmanager
async def _within(patience_s: float) -> AsyncIterator[None]:
    """Raises DeadlineExceeded if the block takes longer."""
    try:
        async with asyncio.timeout(patience_s) as patience:
            yield
    except TimeoutError:
        if not patience.expired():
            raise
        raise deadline_exceeded() from None


def _connect_deadline(timeout_s: float) -> float:
    """Returns the time.monotonic() second until which a call waits for its connection, early enough to leave time for
    the call itself.
    """
    return time.monotonic() + min(CONNECT_S, timeout_s / 2)
