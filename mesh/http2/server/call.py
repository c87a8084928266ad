"""A call of gRPC, at the server: PROTOCOL-HTTP2.md."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mesh.errors import Code, Metadata
from mesh.http2 import frames
from mesh.http2.faults import ErrorCode, StreamFault
from mesh.http2.fields import check
from mesh.http2.hpack import Field
from mesh.http2.message_stream import MessageStream
from mesh.http2.messages import prefixed
from mesh.http2.server import response_head
from mesh.http2.server.load import MESSAGE_BYTES, Load
from mesh.http2.server.request_head import RequestHead
from mesh.http2.statuses import cancelled, deadline_exceeded
from mesh.rpc.call_error import CallError

if TYPE_CHECKING:
    from mesh.http2.server.connection import ServerConnection

WAIT_S: Final = 60.0
"""How long a single request may take to arrive, whatever its deadline, and the end of a response to leave."""

MESSAGES_A_TURN: Final = 32
"""How many messages of a stream are read or written before other calls have their turn."""


@dataclass(frozen=True, slots=True)
class Route:
    """A method: what serves its calls, whether their requests are streams, and the largest message of one."""

    serve: Callable[["ServerCall"], Awaitable[None]]
    takes_stream: bool
    message_bytes_max: int


class ServerCall(MessageStream):
    """A call. Its handler runs once a single request is complete, or once a stream of requests has begun; it is
    cancelled if the client resets the stream or is lost.
    """

    __slots__ = (
        "_begun",
        "_held_bytes",
        "_load",
        "_trailers",
        "_unsent_bytes",
        "_until",
        "_written",
        "deadline",
        "head",
        "is_closed",
        "route",
        "task",
    )

    connection: "ServerConnection"

    def __init__(self, connection: "ServerConnection", route: Route, head: RequestHead, load: Load) -> None:
        super().__init__(route.message_bytes_max, connection.loop, is_single=not route.takes_stream)
        self.connection = connection
        self.route = route
        self.head = head
        self._reader.start(head.encoding)
        now = time.monotonic()
        self.deadline = None if head.timeout_s is None else now + head.timeout_s
        """The monotonic second at which the client gives up, None if it waits for as long as it takes."""
        self._until = now + (WAIT_S if head.timeout_s is None else min(head.timeout_s, WAIT_S))
        self._load = load
        self._held_bytes = head.size
        self._unsent_bytes = 0
        self._begun = False
        self._written = 0
        self._trailers = b""
        self.is_closed = False
        """Whether the stream has ended, so that nothing more can be sent."""
        self.task: asyncio.Task[None] | None = None

    # What the handler does.

    def request(self) -> bytes:
        """Returns the single request. Raises CallError if it can't be decompressed."""
        return self._reader.unpacked(*self._messages[0])

    async def requests(self) -> AsyncGenerator[bytes, None]:
        """Yields the requests of a stream to its end. Raises CallError, and CancelledError if it was cut off."""
        count = 0
        try:
            while (message := await self.next_message()) is not None:
                self._release(MESSAGE_BYTES)
                yield message
                count += 1
                if count % MESSAGES_A_TURN == 0:
                    await asyncio.sleep(0)
        except CallError:
            if self.is_closed:  # also for a handler that reads in a task of its own, which is not cancelled
                raise asyncio.CancelledError from None
            raise

    async def write(self, message: bytes) -> None:
        """Sends a message of a stream of responses, once the client's flow control has room for it."""
        if self.is_closed:
            raise asyncio.CancelledError
        self._begin()
        message = prefixed(message)  # while it waits, it is not kept twice
        self.connection.sender.send(self, message, ends=False)
        self._written += 1
        if self.has_outgoing:
            if not self._may_wait(len(message)):
                await asyncio.sleep(0)  # it is cancelled here, and not while it cleans up
                raise asyncio.CancelledError
            await self.wait_sent()
            self._release_response()
        elif self._written % MESSAGES_A_TURN == 0:
            await asyncio.sleep(0)

    def finish(self, message: bytes | None = None) -> None:
        """Ends the call with success, and the response if it has a single one."""
        if self.is_closed or self._trailers:
            return
        self._begin()
        if message is not None:
            self.connection.sender.send(self, prefixed(message), ends=False)
            if self.has_outgoing and not self._may_wait(len(message)):
                return
        self._end(response_head.SUCCEEDED)

    def abort(self, code: Code, text: str, metadata: Metadata = ()) -> None:
        """Ends the call with an error, or does nothing if it has ended. What was written is sent before."""
        if self.is_closed or self._trailers:
            return
        trailers = response_head.failed(code, text, metadata)
        self._end(trailers if self._begun else response_head.HEADERS + trailers)

    def _may_wait(self, count: int) -> bool:
        """Counts the bytes of a response that the client's flow control has no room for. Returns whether they are not
        too many; otherwise the call has ended.
        """
        self._unsent_bytes += count
        try:
            self._load.responses.hold(count)
        except CallError as error:
            self.connection.refused(self.head.path, error)
            self.connection.streams.fail(self, StreamFault(ErrorCode.ENHANCE_YOUR_CALM, error.text))
            return False
        return True

    def _hold(self, count: int) -> None:
        self._held_bytes += count
        self._load.requests.hold(count)

    def _release_response(self) -> None:
        self._load.responses.release(self._unsent_bytes)
        self._unsent_bytes = 0

    def _release(self, count: int) -> None:
        if not self.is_closed:
            self._held_bytes -= count
            self._load.requests.release(count)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self.connection.send_block(self.id, response_head.HEADERS)

    def _end(self, trailers: bytes) -> None:
        self._trailers = trailers
        if self.has_outgoing:
            self._until = time.monotonic() + WAIT_S
        else:
            self._send_trailers()

    def _send_trailers(self) -> None:
        self.connection.send_block(self.id, self._trailers, frames.END_STREAM)
        self.is_sent = True
        self._close()
        self.connection.streams.finish(self)
        if not self.is_ended:  # a task of the handler may still read
            self.error, self.is_ended = self.error or cancelled(), True
            self._wake()

    # What the connection calls.

    def receive_trailers(self, fields: Sequence[Field] | None, *, ends: bool) -> None:
        """Handles trailers, which gRPC does not use; None stands for too many of them. Raises StreamFault."""
        if not ends:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "headers after the headers")  # section 8.1
        if fields is None:
            raise StreamFault(ErrorCode.ENHANCE_YOUR_CALM, "too many trailers")
        for name, value in fields:
            check(name, value)
        self.receive_data(b"", 0, ends=True)

    def receive_data(self, data: bytes, size: int, *, ends: bool) -> None:
        """Handles data of the request."""
        self.receive_window.receive(size)
        if self.is_ended:
            raise StreamFault(ErrorCode.STREAM_CLOSED, "data after the end")  # section 5.1
        self.is_ended = ends
        if self.error is not None:
            return  # the request was rejected, and the handler has not seen that yet
        try:
            waiting = len(self._messages)
            self._hold(size)
            self._receive_messages(data, size, ends=ends)
            if not self._is_single:
                self._hold((len(self._messages) - waiting) * MESSAGE_BYTES)
            if ends:
                self._check_length(self.head.content_length)
                self._check_complete()
        except CallError as error:
            self._reject(error)
        else:
            if ends:
                self._complete()
            elif self._waiters:
                self._expect_rest()

    def count_read(self, count: int) -> None:
        """Counts bytes of the request that have been read, and so are held no more. A single request is kept."""
        if not self._is_single:
            self._release(count)

    def fail(self, error: CallError, *, is_begun: bool = True) -> None:
        """Ends the call because the client reset it or is lost, and cancels its handler."""
        if self.is_closed:
            return
        self.error, self.is_ended = error, True
        self._close()
        self.drop_outgoing()
        self._wake()
        if self.task is not None:
            self.task.cancel()
            self.task = None  # it keeps its error, whose frames refer to the call

    def drained(self) -> None:
        """Continues wait_sent(), or ends the call if only that was missing."""
        if self._trailers:
            self._send_trailers()
        self._wake()

    def expire(self, now: float) -> None:
        """Ends the call if its single request does not arrive, or the end of its response does not leave, or if its
        handler ignores the deadline.
        """
        if now < self._until:
            return
        if self._trailers:
            self.connection.streams.fail(self, CallError(Code.CANCELLED, "the client does not read"))
        elif self.task is None:
            self._reject(CallError(Code.DEADLINE_EXCEEDED, "The request did not arrive in time."))
        elif self.deadline is not None and now > self.deadline:
            self.connection.streams.fail(self, deadline_exceeded())

    def _check_complete(self) -> None:
        self._check_whole()
        if self._is_single and not self._messages:
            raise CallError(Code.INTERNAL, "no message for a unary call")

    def _complete(self) -> None:
        """Handles that the request is complete."""
        self._wake()
        if self._is_single:
            self.connection.serve(self)

    def _reject(self, error: CallError) -> None:
        """Ends the request because of a message: the handler gets the error, and without one the client does."""
        self.error = error
        if self.task is None:
            self.connection.refused(self.head.path, error)
            self.abort(error.code, error.text)
        self._wake()

    def _close(self) -> None:
        self.is_closed = True
        self._load.requests.release(self._held_bytes)
        if self._unsent_bytes:
            self._release_response()
        self._load.leave()
