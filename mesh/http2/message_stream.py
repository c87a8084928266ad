"""A stream that carries messages of gRPC: PROTOCOL-HTTP2.md."""

import asyncio
from collections import deque

from mesh.errors import Code
from mesh.http2.faults import ErrorCode, StreamFault
from mesh.http2.messages import PREFIX_BYTES, MessageReader, Packed
from mesh.http2.stream import Stream
from mesh.http2.windows import WINDOW_BYTES, ReceiveWindow
from mesh.rpc.call_error import CallError


class MessageStream(Stream):
    """A stream whose messages are read one after the other, or, if it has but a single one, at their end."""

    __slots__ = ("_data_bytes", "_is_single", "_loop", "_messages", "_reader", "_waiters", "error", "is_ended")

    def __init__(self, message_bytes_max: int, loop: asyncio.AbstractEventLoop, *, is_single: bool) -> None:
        """A single message counts as read when it arrives, because only the end of the stream is waited for."""
        super().__init__(ReceiveWindow(WINDOW_BYTES))
        self._loop = loop
        self._is_single = is_single
        self._reader = MessageReader(message_bytes_max)
        self._data_bytes = 0
        self._messages: deque[Packed] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self.is_ended = False
        """Whether nothing more arrives."""
        self.error: CallError | None = None

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

    async def wait_sent(self) -> None:
        """Waits until all that was written has been sent, or the stream has ended."""
        while self.has_outgoing:
            await self._change()

    def drained(self) -> None:
        """Continues wait_sent()."""
        self._wake()

    def _receive_messages(self, data: bytes, size: int, *, ends: bool) -> None:
        """Handles data. Their padding, and all data of a single message, count as read."""
        self._data_bytes += len(data)
        messages = self._reader.feed(data)
        if (read := size if self._is_single else size - len(data)) and not ends:
            self.connection.streams.read(self, read)
        if messages:
            self._messages.extend(messages)
            if not self._is_single:
                self._wake()
        if self._messages and self._is_single and len(self._messages) + self._reader.has_part > 1:
            raise CallError(Code.INTERNAL, "more than one message for a unary call")

    def _break(self, error: CallError) -> None:
        """Reads no more after a message that is damaged."""
        self._messages.clear()
        self.error = error

    def _check_length(self, length: int | None) -> None:
        """Raises StreamFault if the data are not as many as content-length said: section 8.1.1."""
        if length is not None and length != self._data_bytes:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"{self._data_bytes} bytes instead of {length}")

    def _check_whole(self) -> None:
        """Raises CallError if the stream ends within a message."""
        if self._reader.has_part:
            raise CallError(Code.INTERNAL, "the last message is incomplete")

    def _expect_rest(self) -> None:
        """Lets the rest of a message arrive that is waited for: the window may be smaller than the message."""
        if self._reader.has_part and not self._messages and not self.is_ended:
            self.connection.streams.expect(self, self._reader.missing)

    async def _change(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
