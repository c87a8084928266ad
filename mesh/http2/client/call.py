"""A gRPC call in a stream: gRPC's PROTOCOL-HTTP2.md."""

import asyncio
from typing import TYPE_CHECKING, Final

from mesh.errors import Code, Metadata
from mesh.http2.client.response_head import Fields
from mesh.http2.faults import ErrorCode, StreamFault
from mesh.http2.message_stream import MessageStream
from mesh.http2.statuses import cancelled, deadline_exceeded, of_http_status
from mesh.rpc.call_error import CallError

if TYPE_CHECKING:
    from mesh.http2.client.connection import ClientConnection

SILENT_S_MIN: Final = 0.5
"""The shortest time of a call after which an answer that has not come makes the connection suspect."""

_HTTP_OK: Final = 200
_INFORMATIONAL: Final = range(100, 200)
_SWITCHING_PROTOCOLS: Final = 101


class ClientCall(MessageStream):
    """A call of any kind. `initial_metadata` is None before the header block; a response of trailers only has none."""

    __slots__ = ("_head", "initial_metadata", "is_begun", "trailing_metadata")

    connection: "ClientConnection"

    def __init__(self, message_bytes_max: int, loop: asyncio.AbstractEventLoop, *, is_unary: bool = False) -> None:
        super().__init__(message_bytes_max, loop, is_single=is_unary)
        self._head: Fields | None = None
        self.is_begun = True
        """Whether the server may have processed the call."""
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

    async def wait_begun(self) -> None:
        """Waits for the header block of the response, or the end."""
        while self.initial_metadata is None and not self.is_ended:
            await self._change()

    async def wait_ended(self) -> None:
        """Waits for the end."""
        while not self.is_ended:
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
        super()._break(error)

    def _stop(self, error: CallError) -> None:
        if not self.is_ended:
            self._messages.clear()  # reading them may take much longer than the call was to
            self.connection.streams.reset(self, ErrorCode.CANCEL)
            self.fail(error)

    # What the connection calls.

    def receive_block(self, block: bytes, *, ends: bool) -> None:
        """Handles the headers or the trailers. Raises StreamFault, ConnectionFault or CallError."""
        fields = self.connection.fields.read(block)
        if self._head is None:
            self._begin(fields, ends=ends)
        elif fields.http_status or not ends:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "headers after the headers")  # section 8.1
        else:
            self._end(fields)

    def receive_data(self, data: bytes, size: int, *, ends: bool) -> None:
        """Handles data."""
        self.receive_window.receive(size)
        if self._head is None:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "data before the headers")  # section 8.1
        self._receive_messages(data, size, ends=ends)
        if ends:
            self._end(Fields(0, None, "", b"", None, ()))
        elif self._waiters:
            self._expect_rest()

    def fail(self, error: CallError, *, is_begun: bool = True) -> None:
        """Ends the call with an error, after the messages that have arrived. The headers of a response show that it was
        begun: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#when-retries-are-valid.
        """
        if not self.is_ended:
            self.error, self.is_begun, self.is_ended = error, is_begun or self._head is not None, True
            self.drop_outgoing()
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
        if not self._is_single:
            self._wake()

    def _end(self, trailers: Fields) -> None:
        """Ends the call with its trailers. Without any, they have no code."""
        assert self._head is not None, "headers come first"
        self.trailing_metadata = trailers.metadata
        self._check_length(self._head.length)
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
        else:
            self._check_whole()
        self.is_ended = True
        self.drop_outgoing()
        self._wake()
