"""A gRPC call in a stream: gRPC's PROTOCOL-HTTP2.md."""

import asyncio
from collections import deque
from typing import Final

from mesh.errors import Code, Metadata
from mesh.http2.faults import ErrorCode, StreamFault
from mesh.http2.messages import PREFIX_BYTES, MessageReader, Packed
from mesh.http2.response_head import Fields
from mesh.http2.statuses import cancelled, deadline_exceeded, of_http_status
from mesh.http2.stream import Stream
from mesh.http2.windows import WINDOW_BYTES, ReceiveWindow
from mesh.rpc.call_error import CallError

SILENT_S_MIN: Final = 0.5
"""The shortest time of a call after which an answer that has not come makes the connection suspect."""

_HTTP_OK: Final = 200
_INFORMATIONAL: Final = range(100, 200)
_SWITCHING_PROTOCOLS: Final = 101


class Call(Stream):
    """A call of any kind. `initial_metadata` is None before the header block; a response of trailers only has none."""

    __slots__ = (
        "_data_bytes",
        "_head",
        "_is_unary",
        "_loop",
        "_messages",
        "_reader",
        "_waiters",
        "error",
        "initial_metadata",
        "is_begun",
        "is_ended",
        "trailing_metadata",
    )

    def __init__(self, message_bytes_max: int, loop: asyncio.AbstractEventLoop, *, is_unary: bool = False) -> None:
        """Messages of a unary call count as read when they arrive, because only the end of the call is waited for."""
        super().__init__(ReceiveWindow(WINDOW_BYTES))
        self._loop = loop
        self._is_unary = is_unary
        self._reader = MessageReader(message_bytes_max)
        self._messages: deque[Packed] = deque()
        self._head: Fields | None = None
        self._data_bytes = 0
        self._waiters: list[asyncio.Future[None]] = []
        self.is_ended = False
        self.is_begun = True
        """Whether the server may have processed the call."""
        self.error: CallError | None = None
        self.initial_metadata: Metadata | None = None
        self.trailing_metadata: Metadata = ()

    # What the caller does.

    async def response(self) -> bytes | None:
        """Waits for the end of a unary call. Returns its message, None if there is none. Raises CallError."""
        while not self.is_ended:
            await self._change()
        if self.error is not None:
            raise self.error.copy()
        return self._reader.unpacked(*self._messages[0]) if self._messages else None

    async def next_message(self) -> bytes | None:
        """Returns the next message, None after the last one. Raises CallError. Cancelling it loses no message."""
        while not self._messages:
            if self.error is not None:
                raise self.error.copy()
            if self.is_ended:
                return None
            self._expect_rest()
            await self._change()
        flag, content = self._messages.popleft()
        self.connection.streams.read(self, PREFIX_BYTES + len(content))
        try:
            return self._reader.unpacked(flag, content)
        except CallError as error:
            self._break(error)
            raise

    async def wait_begun(self) -> None:
        """Waits for the header block of the response, or the end."""
        while self.initial_metadata is None and not self.is_ended:
            await self._change()

    async def wait_ended(self) -> None:
        """Waits for the end."""
        while not self.is_ended:
            await self._change()

    async def wait_sent(self) -> None:
        """Waits until all that was written has been sent, or the call has ended."""
        while self.has_outgoing and not self.is_ended:
            await self._change()

    def write(self, data: bytes, *, ends: bool = False) -> None:
        """Sends data, or nothing if the call has ended."""
        if not self.is_ended:
            self.connection.sender.send(self, data, ends=ends)

    def cancel(self) -> None:
        """Ends the call, and resets its stream."""
        self._stop(cancelled())

    def expire(self, after_s: float) -> None:
        """Ends the call because its deadline has passed, `after_s` seconds after it was opened."""
        if after_s >= SILENT_S_MIN and not self.is_ended:
            self.connection.doubt(self)
        self._stop(deadline_exceeded())

    def _break(self, error: CallError) -> None:
        """Ends the call at a message that is damaged, though the server may have ended it well."""
        self._stop(error)
        self._messages.clear()
        self.error = error

    def _stop(self, error: CallError) -> None:
        if not self.is_ended:
            self._messages.clear()  # reading them may take much longer than the call was to
            self.connection.streams.reset(self, ErrorCode.CANCEL)
            self.fail(error)

    # What the connection calls.

    def receive_block(self, block: bytes, *, ends: bool) -> None:
        """Handles the headers or the trailers."""
        fields = self.connection.fields.read(block)
        if self._head is None:
            self._begin(fields, ends=ends)
        elif fields.http_status or not ends:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "headers after the headers")  # section 8.1
        else:
            self._end(fields)

    def receive_data(self, data: bytes, size: int, *, ends: bool) -> None:
        """Handles data. Their padding, and all data of a unary call, count as read."""
        self.receive_window.receive(size)
        if self._head is None:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "data before the headers")  # section 8.1
        self._data_bytes += len(data)
        messages = self._reader.feed(data)
        if (read := size if self._is_unary else size - len(data)) and not ends:
            self.connection.streams.read(self, read)
        if messages:
            self._messages.extend(messages)
            if not self._is_unary:
                self._wake()
        if self._messages and self._is_unary and len(self._messages) + self._reader.has_part > 1:
            raise CallError(Code.INTERNAL, "more than one message for a unary call")
        if ends:
            self._end(Fields(0, None, "", b"", None, ()))
        elif self._waiters:
            self._expect_rest()

    def _expect_rest(self) -> None:
        """Lets the rest of a message arrive that is waited for: the window may be smaller than the message."""
        if self._reader.has_part and not self._messages and not self.is_ended:
            self.connection.streams.expect(self, self._reader.missing)

    def fail(self, error: CallError, *, is_begun: bool = True) -> None:
        """Ends the call with an error, after the messages that have arrived. The headers of a response show that it was
        begun: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#when-retries-are-valid.
        """
        if not self.is_ended:
            self.error, self.is_begun, self.is_ended = error, is_begun or self._head is not None, True
            self.drop_outgoing()
            self._wake()

    def drained(self) -> None:
        """Continues wait_sent()."""
        self._wake()

    def _begin(self, fields: Fields, *, ends: bool) -> None:
        if fields.http_status in _INFORMATIONAL and fields.http_status != _SWITCHING_PROTOCOLS and not ends:
            return
        if fields.http_status < _HTTP_OK:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"a response of the status {fields.http_status}")
        self._head = fields
        if ends:
            self._end(fields)
            return
        if fields.http_status != _HTTP_OK:
            raise of_http_status(fields.http_status)
        self._reader.start(fields.encoding)
        self.initial_metadata = fields.metadata
        if not self._is_unary:
            self._wake()

    def _end(self, trailers: Fields) -> None:
        """Ends the call with its trailers. Without any, they have no code."""
        assert self._head is not None, "headers come first"
        self.trailing_metadata = trailers.metadata
        length = self._head.length
        if length is not None and length != self._data_bytes:  # section 8.1.1
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"{self._data_bytes} bytes instead of {length}")
        if trailers.code is None:
            raise of_http_status(self._head.http_status)
        if trailers.code is not Code.OK:
            self.error = CallError(
                trailers.code,
                trailers.text,
                is_sent=True,
                initial=self.initial_metadata or (),
                trailing=trailers.metadata,
            )
        elif self._reader.has_part:
            raise CallError(Code.INTERNAL, "the last message is incomplete")
        self.is_ended = True
        self.drop_outgoing()
        self._wake()

    # Waiting.

    async def _change(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
