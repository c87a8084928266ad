"""A connection to an HTTP/2 server: RFC 9113, from the side of a client that accepts no pushes."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from mesh.http2 import frames
from mesh.http2.faults import ConnectionFault, ErrorCode, Fault, StreamFault
from mesh.http2.flood_limit import FloodLimit
from mesh.http2.peer_settings import OUR_SETTINGS, PeerSettings
from mesh.http2.response_head import FieldsReader
from mesh.http2.statuses import broken, of_reset, unavailable
from mesh.http2.stream import Stream
from mesh.http2.windows import WINDOW_BYTES, ReceiveWindow, WindowExceeded, widened
from mesh.rpc.call_error import CallError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

CONNECTION_WINDOW_BYTES: Final = 16_777_216
"""The receive window of a whole connection. It is updated when data arrive, not when they are read, so that streams
that nobody reads don't stop the others; the memory is bounded by the windows of the streams.
"""

BLOCK_BYTES_MAX: Final = 65_536
"""The limit on a header block with its CONTINUATION frames."""

LARGE_BYTES: Final = 8_192
"""The size from which data are sent without being copied together."""

UNSENT_BYTES_MAX: Final = 1_048_576
"""The most bytes that wait for a server that does not read, but asks for acknowledgements."""

KEEPALIVE_TIMEOUT_S: Final = 5.0

LINGER_S: Final = 1.0
"""How long the last frames of a connection may take to leave."""


class Connection(asyncio.Protocol):
    """A connection, made by loop.create_connection(). `ready` is done when the server has sent its settings, and raises
    CallError if the connection fails before.
    """

    def __init__(self, keepalive_s: float, on_change: Callable[["Connection"], None]) -> None:
        """`on_change` is called when the connection has more room for streams, or stops to accept any. A quiet
        connection with streams is pinged every `keepalive_s`.
        """
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.fields = FieldsReader()
        self._transport: asyncio.Transport
        self._reader = frames.FrameReader()
        self._peer = PeerSettings()
        self._has_settings = False
        self._streams: dict[int, Stream] = {}
        self._next_id = 1
        self._send_window = WINDOW_BYTES
        self._receive_window = ReceiveWindow(CONNECTION_WINDOW_BYTES, CONNECTION_WINDOW_BYTES)
        self._sendable: deque[Stream] = deque()
        self._is_paused = False
        self._outbox: list[bytes | memoryview] = []
        self._outbox_bytes = 0
        self._flood_limit = FloodLimit()
        self._block: tuple[Stream | None, int, bytearray] | None = None
        self._is_draining = False
        self._error: CallError | None = None
        self._keepalive_s = keepalive_s
        self._is_quiet = True
        self._keepalive: asyncio.TimerHandle
        self._on_change = on_change
        self._handlers: tuple[Callable[[int, int, bytes], None], ...] = (
            *(self._on_data, self._on_headers, self._on_priority, self._on_rst_stream, self._on_settings),
            *(self._on_push_promise, self._on_ping, self._on_goaway, self._on_window_update, self._on_continuation),
        )

    @property
    def room(self) -> int:
        """Returns how many more streams may be opened."""
        if self._is_draining or not self._has_settings:
            return 0
        return self._peer.streams_max - len(self._streams)

    @property
    def is_usable(self) -> bool:
        """Returns whether streams may be opened, now or when others have ended."""
        return not self._is_draining

    @property
    def is_closed(self) -> bool:
        """Returns whether the connection and all its streams have ended."""
        return self._error is not None

    # What a client does.

    def open(self, stream: Stream, block: bytes, data: bytes, *, ends: bool) -> None:
        """Opens a stream with a request: its header block and the first data. The caller has checked that there is
        room.
        """
        stream.id, stream.connection, stream.send_window = self._next_id, self, self._peer.window_bytes
        self._streams[self._next_id] = stream
        self._next_id += 2
        if self._next_id > frames.STREAM_ID_MAX:
            self.drain()
        self._write(frames.header_block(stream.id, block, self._peer.frame_bytes_max))
        if data or ends:
            self.send(stream, data, ends=ends)

    def send(self, stream: Stream, data: bytes, *, ends: bool) -> None:
        """Sends data of a stream, or keeps them until the windows allow it; then calls stream.drained()."""
        size = len(data)
        if (
            size <= self._send_window
            and size <= stream.send_window
            and size <= self._peer.frame_bytes_max
            and not self._is_paused
            and not stream.has_outgoing
        ):
            self._send_data(stream, data, ends=ends)
            return
        stream.keep(data, ends=ends)
        self._enqueue(stream)
        self._pump()

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Ends a stream early."""
        if self._streams.get(stream.id) is stream:
            self._write(frames.rst_stream(stream.id, code))
            self._forget(stream)

    def read(self, stream: Stream, count: int) -> None:
        """Lets the peer send as many bytes of a stream again, because they have been read."""
        if (increment := stream.receive_window.take(count)) and stream.id in self._streams:
            self._write(frames.window_update(stream.id, increment))

    def expect(self, stream: Stream, count: int) -> None:
        """Lets the peer send a message of `count` bytes as a whole."""
        if increment := stream.receive_window.fit(count):
            self._write(frames.window_update(stream.id, increment))

    def drain(self) -> None:
        """Opens no more streams, and closes the connection after the last one."""
        self._is_draining = True
        self._on_change(self)
        self._close_if_idle()

    def close(self) -> None:
        """Ends the connection and its streams."""
        self._end(unavailable("the connection was closed"), ErrorCode.NO_ERROR)

    # What asyncio calls.

    def connection_made(self, transport: Any) -> None:
        """Sends the preface and our settings: section 3.4."""
        self._transport = transport
        increment = CONNECTION_WINDOW_BYTES - WINDOW_BYTES
        transport.write(PREFACE + frames.settings(OUR_SETTINGS) + frames.window_update(0, increment))
        self._keepalive = self._loop.call_later(self._keepalive_s, self._check_alive)

    def data_received(self, data: bytes) -> None:
        """Handles the frames in what the server sent."""
        self._is_quiet = False
        if self._error is not None:
            return
        try:
            for kind, flags, stream_id, payload in self._reader.feed(data):
                if self._block is not None and kind != frames.CONTINUATION:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame within a header block")  # section 6.10
                if kind < len(self._handlers):
                    self._handlers[kind](flags, stream_id, payload)
                else:
                    self._flood_limit.spend()  # section 5.5: frames of unknown types are ignored
        except Fault as fault:
            self._end(unavailable(str(fault)), fault.code)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the streams."""
        self._end(unavailable("the connection was lost"), None)

    def pause_writing(self) -> None:
        """Stops sending data; the socket's buffer is full."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Sends data again."""
        self._is_paused = False
        self._pump()

    # What the server sends.

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        data = frames.unpadded(flags, payload)
        stream = self._stream(stream_id)
        self._receive_window.receive(size)  # data of streams that have ended count too: section 6.9
        if increment := self._receive_window.take(size):
            self._write(frames.window_update(0, increment))
        if stream is None or not data:
            self._flood_limit.spend()
        if stream is not None:
            self._deliver(stream, flags, stream.receive_data, data, size)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        stream = self._stream(stream_id)
        fragment = frames.header_fragment(flags, payload)
        if flags & frames.END_HEADERS:
            self._on_block(stream, flags, fragment)
        else:
            self._block = stream, flags, bytearray(fragment)
            self._block_stream_id = stream_id

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        if self._block is None or stream_id != self._block_stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of no header block")
        stream, first_flags, block = self._block
        block += payload
        if len(block) > BLOCK_BYTES_MAX:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"a header block of more than {BLOCK_BYTES_MAX} bytes")
        if flags & frames.END_HEADERS:
            self._block = None
            self._on_block(stream, first_flags, bytes(block))

    def _on_block(self, stream: Stream | None, flags: int, block: bytes) -> None:
        self._flood_limit.spend()
        if stream is not None:
            self._deliver(stream, flags, stream.receive_block, block)

    def _deliver(self, stream: Stream, flags: int, receive: Callable[..., None], *content: object) -> None:
        """Lets a stream handle a frame, and ends it if the frame does."""
        ends = bool(flags & frames.END_STREAM)
        try:
            receive(*content, ends=ends)
        except (StreamFault, WindowExceeded, CallError) as error:
            self._fail(stream, error)
        else:
            if ends:
                self._finish(stream)

    def _on_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY of no stream")
        if len(payload) != frames.PRIORITY_BYTES and (stream := self._streams.get(stream_id)) is not None:
            self._fail(stream, StreamFault(ErrorCode.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes"))

    def _on_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        code = frames.parse_uint32(payload)
        stream = self._stream(stream_id)
        if stream is not None:
            self._forget(stream)
            stream.fail(of_reset(code), is_begun=code != ErrorCode.REFUSED_STREAM)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS of a stream")
        settings = frames.parse_settings(flags, payload)
        if flags & frames.ACK:
            self._check_begun()
            return
        window_bytes = self._peer.window_bytes
        self._peer.update(settings)
        if widening := self._peer.window_bytes - window_bytes:  # section 6.9.2
            for stream in self._streams.values():
                stream.send_window = widened(stream.send_window, widening)
                self._enqueue(stream)
        self._answer(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._has_settings = True
        if not self.ready.done():
            self.ready.set_result(None)
        self._on_change(self)
        self._pump()

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which we do not accept")  # section 8.4

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        self._check_begun()
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING of a stream")
        if len(payload) != frames.PING_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        if not flags & frames.ACK:
            self._answer(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        self._check_begun()
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY of a stream")
        last_stream_id, code = frames.parse_goaway(payload)
        for stream in [stream for number, stream in self._streams.items() if number > last_stream_id]:
            del self._streams[stream.id]
            stream.fail(unavailable(f"GOAWAY with the error code {code}"), is_begun=False)
        self.drain()

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        increment = frames.parse_uint32(payload) & frames.STREAM_ID_MAX
        if not stream_id:
            self._check_begun()
            if not increment:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            self._send_window = widened(self._send_window, increment)
        elif (stream := self._stream(stream_id)) is not None:
            if not increment:
                self._fail(stream, StreamFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing"))
                return
            try:
                stream.send_window = widened(stream.send_window, increment)
            except WindowExceeded as error:
                self._fail(stream, error)
                return
            self._enqueue(stream)
        self._flood_limit.spend()
        self._pump()

    def _stream(self, stream_id: int) -> Stream | None:
        """Returns the stream of a frame; None if it has ended, which the server may not know yet. Raises
        ConnectionFault if we have not opened it: section 5.1.
        """
        stream = self._streams.get(stream_id)
        if stream is None:
            self._check_begun()
            if not stream_id % 2 or stream_id >= self._next_id:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a frame of the stream {stream_id}, which is idle")
        return stream

    def _check_begun(self) -> None:
        """Raises ConnectionFault before the settings, which must be the first frame: section 3.4."""
        if not self._has_settings:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame before SETTINGS")

    # Sending.

    def _send_data(self, stream: Stream, data: bytes | memoryview, *, ends: bool) -> None:
        size = len(data)
        self._send_window -= size
        stream.send_window -= size
        stream.is_sent = ends
        flags = frames.END_STREAM if ends else 0
        if size < LARGE_BYTES:
            self._write(frames.frame(frames.DATA, flags, stream.id, data))
        else:
            self._write(frames.frame_header(size, frames.DATA, flags, stream.id))
            self._put(data)

    def _enqueue(self, stream: Stream) -> None:
        if stream.has_outgoing and not stream.is_queued:
            stream.is_queued = True
            self._sendable.append(stream)

    def _pump(self) -> None:
        """Sends kept data, a frame of each stream in turn, as far as the windows and the socket allow."""
        while self._sendable and not self._is_paused:
            stream = self._sendable[0]
            bytes_max = min(self._send_window, stream.send_window, self._peer.frame_bytes_max)
            if self._send_window <= 0 and stream.has_bytes_outgoing:
                return
            self._sendable.popleft()
            stream.is_queued = False
            if self._streams.get(stream.id) is not stream or (bytes_max <= 0 and stream.has_bytes_outgoing):
                continue
            data, ends = stream.next_piece(bytes_max)
            self._send_data(stream, data, ends=ends)
            self._enqueue(stream)
            if not stream.has_outgoing:
                stream.drained()

    def _answer(self, frame: bytes) -> None:
        """Sends an acknowledgement. A server that reads none must not make us keep them."""
        if self._is_paused and self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "frames to acknowledge, from a server that doesn't read")
        self._put(frame)

    def _write(self, data: bytes) -> None:
        self._flood_limit.earn()
        self._put(data)

    def _put(self, data: bytes | memoryview) -> None:
        """Sends data with all others of this turn of the event loop, because a system call costs more than a frame."""
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(data)
        self._outbox_bytes += len(data)

    def _flush(self) -> None:
        outbox, size = self._outbox, self._outbox_bytes
        self._outbox, self._outbox_bytes = [], 0
        if size < LARGE_BYTES:
            self._transport.write(b"".join(outbox))
        else:
            self._transport.writelines(outbox)

    # Ends.

    def _finish(self, stream: Stream) -> None:
        """Forgets a stream whose response is complete. A request that isn't is of no use any more: section 8.1."""
        if not stream.is_sent:
            self._write(frames.rst_stream(stream.id, ErrorCode.NO_ERROR))
        self._forget(stream)

    def _fail(self, stream: Stream, error: Fault | CallError) -> None:
        """Ends one stream because of what the server sent for it."""
        self.reset(stream, error.code if isinstance(error, Fault) else ErrorCode.CANCEL)
        stream.fail(error if isinstance(error, CallError) else broken(str(error)))

    def _forget(self, stream: Stream) -> None:
        self._streams.pop(stream.id, None)
        if self._is_draining:
            self._close_if_idle()
        else:
            self._on_change(self)

    def _close_if_idle(self) -> None:
        if not self._streams:
            self._end(unavailable("the connection was closed"), ErrorCode.NO_ERROR)

    def _end(self, error: CallError, code: ErrorCode | None) -> None:
        """Ends the connection with an error code for the server, or without one if it is lost."""
        if self._error is not None:
            return
        self._error, self._is_draining = error, True
        self._keepalive.cancel()
        if code is None:
            self._transport.abort()
        else:
            self._put(frames.goaway(code))
            self._flush()
            self._transport.close()
            self._loop.call_later(LINGER_S, self._transport.abort)
        streams, self._streams = list(self._streams.values()), {}
        if not self.ready.done():
            self.ready.set_exception(error)
        for stream in streams:
            stream.fail(error)
        self._on_change(self)

    def _check_alive(self) -> None:
        """Pings a quiet server, and ends the connection if it was quiet after the last ping: section 6.7."""
        wait_s = self._keepalive_s
        if self._is_quiet and self._streams:
            self._write(frames.frame(frames.PING, 0, 0, bytes(frames.PING_BYTES)))
            self._keepalive = self._loop.call_later(KEEPALIVE_TIMEOUT_S, self._check_answered)
            return
        self._is_quiet = True
        self._keepalive = self._loop.call_later(wait_s, self._check_alive)

    def _check_answered(self) -> None:
        if self._is_quiet:
            self._end(unavailable("the server answers no pings"), None)
            return
        self._keepalive = self._loop.call_later(self._keepalive_s, self._check_alive)
