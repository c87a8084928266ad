"""The transport of mesh.http2."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from typing import Final

from mesh.client.credentials import Credentials
from mesh.client.response import UnaryResponse
from mesh.client.transport import ATTEMPTS_MAX, CONNECT_S, MESSAGE_BYTES_MAX
from mesh.errors import Code, Metadata, Unavailable
from mesh.http2.client.balancer import Balancer
from mesh.http2.client.call import ClientCall
from mesh.http2.client.connection import ClientConnection
from mesh.http2.client.request_head import RequestHeads
from mesh.http2.messages import prefixed
from mesh.http2.statuses import cancelled, deadline_exceeded
from mesh.rpc.call_error import CallError

REPEATED_BYTES_MAX: Final = 65_536
"""The most bytes of requests that are kept to make a call again."""


class Http2Transport:
    """Calls over connections of mesh.http2."""

    def __init__(self, address: str, credentials: Credentials | None, keepalive_s: float) -> None:
        """`address` is host:port or [host]:port; nothing is connected yet."""
        host, _, port = address.rpartition(":")
        tls = None if credentials is None else credentials.context
        self._balancer = Balancer(host.strip("[]"), int(port), tls, keepalive_s)
        self._heads = RequestHeads(address, secure=credentials is not None)

    async def check(self) -> None:
        """Raises Unavailable if no address can be reached."""
        await self._balancer.wait_connected_or_failed()
        if not self._balancer.is_connected:
            raise Unavailable("can't be reached")

    async def unary(
        self,
        path: str,
        request: bytes,
        *,
        connect_by: float,
        deadline: float,
        metadata: Metadata,
        attempts_max: int = ATTEMPTS_MAX,
    ) -> UnaryResponse | None:
        """Calls a unary method. Raises CallError."""
        data = prefixed(request)
        for attempt in range(1, attempts_max + 1):
            connection = self._balancer.pick()
            if connection is None:
                try:
                    connection = await self.wait_room(deadline, connect_by if attempt == 1 else None)
                except CallError as error:
                    error.attempts = max(1, attempt - 1)  # one that finds no connection counts, so that retries end
                    raise
            call = ClientCall(MESSAGE_BYTES_MAX, connection.loop, is_unary=True)
            left_s = deadline - time.monotonic()
            connection.open(call, self._heads.block(path, left_s, metadata), data, ends=True)
            timer = connection.loop.call_later(left_s, call.expire, left_s)
            try:
                message = await call.response()
            except CallError as error:
                if call.is_begun or attempt == attempts_max:
                    error.attempts = attempt
                    raise
            except asyncio.CancelledError:
                call.cancel()
                raise
            else:
                if message is None:
                    return None
                return UnaryResponse(message, call.initial_metadata or (), call.trailing_metadata)
            finally:
                timer.cancel()
        raise AssertionError("the last attempt returns or raises")

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, *, connect_by: float, deadline: float, metadata: Metadata
    ) -> AsyncIterator["Http2Stream"]:
        """Calls a method of any kind. Raises CallError."""
        stream = Http2Stream(self, path, connect_by, deadline, metadata)
        await stream.open()
        try:
            yield stream
        finally:
            stream.cancel()

    async def close(self) -> None:
        """Closes all connections."""
        self._balancer.close()

    async def wait_room(self, deadline: float, connect_by: float | None) -> ClientConnection:
        """Waits for room for a stream. The first attempt waits for a connection until `connect_by`, and fails then
        where no address can be reached; a later one, without `connect_by`, waits for a connection again, because that
        of the first attempt may be the only one that has ended. Raises CallError.
        """
        try:
            if connect_by is None:
                return await self._balancer.wait(min(deadline, time.monotonic() + CONNECT_S))
            if not self._balancer.is_connected:
                with contextlib.suppress(CallError):
                    return await self._balancer.wait(min(connect_by, deadline))
            return await self._balancer.wait(deadline, fails_fast=True)
        except CallError as error:
            raise deadline_exceeded() if time.monotonic() >= deadline else error from None

    def head(self, path: str, deadline: float, metadata: Metadata) -> bytes:
        """Returns the header block of a call."""
        return self._heads.block(path, deadline - time.monotonic(), metadata)


class Http2Stream:
    """A call of any kind, which is made again if a server has not begun it."""

    def __init__(
        self, transport: Http2Transport, path: str, connect_by: float, deadline: float, metadata: Metadata
    ) -> None:
        self._transport = transport
        self._path = path
        self._connect_by: float | None = connect_by
        self._deadline = deadline
        self._metadata = metadata
        self._attempts = 0
        self._written: list[bytes] | None = []
        self._written_bytes = 0
        self._is_finished = False
        self._opening = asyncio.Lock()
        self._waiting: asyncio.Timeout | None = None
        self._is_cancelled = False
        self._timer: asyncio.TimerHandle | None = None
        self._call: ClientCall

    async def open(self) -> None:
        """Makes the call, with the requests so far. Raises CallError."""
        connection = await self._room()
        self._connect_by = None
        self._attempts += 1
        self._call = call = ClientCall(MESSAGE_BYTES_MAX, connection.loop)
        assert self._written is not None, "send() keeps nothing while the call is opened again"
        written = b"".join(self._written)
        head = self._transport.head(self._path, self._deadline, self._metadata)
        connection.open(call, head, written, ends=self._is_finished)
        if self._timer is not None:
            self._timer.cancel()
        if self._deadline != math.inf:
            left_s = self._deadline - time.monotonic()
            self._timer = connection.loop.call_later(left_s, call.expire, left_s)

    async def _room(self) -> ClientConnection:
        """Waits for room, and at most until cancel(). Raises CallError."""
        if not self._is_cancelled:
            try:
                async with asyncio.timeout(None) as self._waiting:
                    connection = await self._transport.wait_room(self._deadline, self._connect_by)
            except TimeoutError:
                pass  # cancel() has let it expire
            finally:
                self._waiting = None
        if self._is_cancelled:
            raise cancelled()
        return connection

    async def receive(self) -> bytes | None:
        """Returns the next response, None after the last one. Raises CallError."""
        while True:
            call = self._call
            try:
                return await call.next_message()
            except CallError:
                if not await self._opened_again(call):
                    raise

    async def send(self, message: bytes) -> bool:
        """Sends a request as soon as the server accepts it. Returns whether the call goes on."""
        if not await self._goes_on():  # a request that is kept now is sent once: with the call that is open
            return False
        data = prefixed(message)
        self._keep(data)
        call = self._call
        call.write(data)
        await asyncio.sleep(0)  # requests that are ready must not keep the event loop from sending them
        await call.wait_sent()
        return await self._goes_on()

    async def finish_sending(self) -> None:
        """Ends the requests."""
        self._is_finished = True
        self._call.write(b"", ends=True)

    async def initial_metadata(self) -> Metadata:
        """Waits for the metadata before the first response, and returns it."""
        while True:
            call = self._call
            await call.wait_begun()
            if not await self._opened_again(call):
                return call.initial_metadata or ()

    async def trailing_metadata(self) -> Metadata:
        """Waits for the end, and returns the metadata after the last response."""
        return (await self._ended()).trailing_metadata

    async def code(self) -> Code:
        """Waits for the end, and returns the status."""
        error = (await self._ended()).error
        return Code.OK if error is None else error.code

    def is_done(self) -> bool:
        """Returns whether the call has ended."""
        return self._call.is_ended and not self._is_repeatable(self._call)

    def cancel(self) -> None:
        """Ends the call early, and for good."""
        if self._waiting is not None and not self._is_cancelled:
            self._waiting.reschedule(0)
        self._is_cancelled = True
        if self._timer is not None:
            self._timer.cancel()
        self._call.cancel()

    async def _ended(self) -> ClientCall:
        while True:
            call = self._call
            await call.wait_ended()
            if not await self._opened_again(call):
                return call

    async def _goes_on(self) -> bool:
        """Returns whether the call goes on, once it has been made again if it must be."""
        while (call := self._call).is_ended:
            if not await self._opened_again(call):
                return False
        return True

    def _keep(self, data: bytes) -> None:
        """Keeps a request while the call may be made again."""
        if self._written is None:
            return
        self._written_bytes += len(data)
        if self._written_bytes > REPEATED_BYTES_MAX or self._call.initial_metadata is not None:
            self._written = None
        else:
            self._written.append(data)

    def _is_repeatable(self, call: ClientCall) -> bool:
        """Returns whether a call may be made again: it has failed without being begun."""
        return not call.is_begun and self._written is not None and self._attempts < ATTEMPTS_MAX

    async def _opened_again(self, call: ClientCall) -> bool:
        """Makes the call again, if it may be. Returns whether there is a new one, which may have failed."""
        async with self._opening:
            if self._call is call and self._is_repeatable(call):
                try:
                    await self.open()
                except CallError as error:
                    self._call = ClientCall(MESSAGE_BYTES_MAX, asyncio.get_running_loop())
                    self._call.fail(error.copy())
            return self._call is not call
