"""The frames that arrive on a connection: RFC 9113, sections 5 and 6."""

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mesh.http2 import frames
from mesh.http2.faults import ConnectionFault, ErrorCode, StreamFault
from mesh.http2.flood_limit import FloodLimit
from mesh.http2.header_block import HeaderBlock
from mesh.http2.peer_settings import PeerSettings
from mesh.http2.statuses import of_reset
from mesh.http2.stream import Stream
from mesh.http2.windows import ReceiveWindow, WindowExceeded, widened
from mesh.rpc.call_error import CallError

if TYPE_CHECKING:
    from mesh.http2.connection import Connection

CONNECTION_WINDOW_BYTES: Final = 16_777_216
"""The receive window of a whole connection. It is updated when data arrive, not when they are read, so that streams
that nobody reads don't stop the others; the memory is bounded by the windows of the streams.
"""

COSTLY_BYTES: Final = 2_048
"""The part of a header block that costs as much as a frame that carries nothing."""


class Receiver(abc.ABC):
    """Checks each frame, and hands it to its stream or answers it."""

    def __init__(
        self, connection: "Connection", peer: PeerSettings, flood_limit: FloodLimit, on_settings: Callable[[], None]
    ) -> None:
        """`on_settings` is called when the peer has sent settings."""
        self._outbox = connection.outbox
        self._sender = connection.sender
        self._streams = connection.streams
        self._peer = peer
        self._flood_limit = flood_limit
        self._on_settings = on_settings
        self._reader = frames.FrameReader()
        self._window = ReceiveWindow(CONNECTION_WINDOW_BYTES)
        self._only: int | None = frames.SETTINGS
        """The one type that the next frame may have: SETTINGS first (3.4), CONTINUATION within a block (6.10)."""
        self._block: HeaderBlock | None = None
        self._handlers: tuple[Callable[[int, int, bytes], None], ...] = (
            *(self._data, self._headers, self._priority, self._rst_stream, self._settings),
            *(self._push_promise, self._ping, self._goaway, self._window_update, self._continuation),
        )

    @abc.abstractmethod
    def _receive_block(self, stream_id: int, flags: int, block: bytes) -> None:
        """Handles a whole header block. Raises Fault."""

    @abc.abstractmethod
    def _receive_goaway(self, last_stream_id: int, code: int) -> None:
        """Handles that the peer stops to use the connection."""

    @abc.abstractmethod
    def _receive_pong(self, payload: bytes) -> None:
        """Handles the answer to a ping."""

    def receive(self, data: bytes) -> None:
        """Handles the frames that a piece completes. Raises Fault."""
        for kind, flags, stream_id, payload in self._reader.feed(data):
            if self._only is not None and kind != self._only:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a frame of the type {kind} instead of {self._only}")
            if kind < len(self._handlers):
                self._handlers[kind](flags, stream_id, payload)
            else:
                self._flood_limit.spend()  # section 5.5: frames of unknown types are ignored

    def stop(self) -> None:
        """Drops the parts of a frame and of a header block that have arrived. The connection is part of reference
        cycles, and waits for the garbage collector.
        """
        self._reader, self._block = frames.FrameReader(), None

    # Frames of streams.

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        data = frames.unpadded(flags, payload)
        stream = self._streams.find(stream_id)
        self._window.receive(size)  # data of streams that have ended count too: section 6.9
        if increment := self._window.take(size):
            self._outbox.send(frames.window_update(0, increment))
        if not data or (stream is None and not self._streams.allow_late()):
            self._flood_limit.spend()
        if stream is not None:
            self._deliver(stream, flags, stream.receive_data, data, size)

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        fragment = frames.header_fragment(flags, payload)
        if flags & frames.END_HEADERS:
            self._whole_block(stream_id, flags, fragment)
        else:
            self._block = HeaderBlock(stream_id, flags, fragment)
            self._only = frames.CONTINUATION

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        block = self._block
        if block is None:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of no header block")
        block.add(stream_id, payload)
        if flags & frames.END_HEADERS:
            self._block = self._only = None
            self._whole_block(stream_id, block.flags, block.content())

    def _whole_block(self, stream_id: int, flags: int, block: bytes) -> None:
        self._flood_limit.spend(1 + len(block) // COSTLY_BYTES)
        self._receive_block(stream_id, flags, block)

    def _deliver(self, stream: Stream, flags: int, receive: Callable[..., None], *content: object) -> None:
        """Lets a stream handle a frame, and ends it if the frame does."""
        ends = bool(flags & frames.END_STREAM)
        try:
            receive(*content, ends=ends)
        except (StreamFault, WindowExceeded, CallError) as error:
            self._streams.fail(stream, error)
        else:
            if ends:
                self._streams.peer_ended(stream)

    def _priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY of no stream")
        if len(payload) != frames.PRIORITY_BYTES and (stream := self._streams.get(stream_id)) is not None:
            self._streams.fail(stream, StreamFault(ErrorCode.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes"))

    def _rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        code = frames.parse_uint32(payload)
        stream = self._streams.find(stream_id)
        if stream is not None:
            self._streams.forget(stream)
            stream.fail(of_reset(code), is_begun=code != ErrorCode.REFUSED_STREAM)

    def _window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        increment = frames.parse_uint32(payload) & frames.STREAM_ID_MAX
        if stream_id:
            self._widen(self._streams.find(stream_id), increment)
        elif increment:
            self._sender.widen(increment)
        else:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        self._sender.pump()

    def _widen(self, stream: Stream | None, increment: int) -> None:
        if stream is None:
            return
        if not increment:
            self._streams.fail(stream, StreamFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing"))
            return
        try:
            stream.send_window = widened(stream.send_window, increment)
        except WindowExceeded as error:
            self._streams.fail(stream, error)
        else:
            self._sender.wait(stream)

    # Frames of the connection.

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        _check_of_connection("SETTINGS", stream_id)
        settings = frames.parse_settings(flags, payload)
        if flags & frames.ACK:
            if not self._peer.are_known:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "an acknowledgement before SETTINGS")  # section 3.4
            return
        self._only = None
        window_bytes = self._peer.window_bytes
        self._peer.update(settings)
        if widening := self._peer.window_bytes - window_bytes:  # section 6.9.2
            for stream in self._streams:
                stream.send_window = widened(stream.send_window, widening)
                self._sender.wait(stream)
        self._outbox.put(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._on_settings()
        self._sender.pump()

    def _push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which we do not accept")  # section 8.4

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        _check_of_connection("PING", stream_id)
        if len(payload) != frames.PING_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        if flags & frames.ACK:
            self._receive_pong(payload)
        else:
            self._outbox.put(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._flood_limit.spend()
        _check_of_connection("GOAWAY", stream_id)
        self._receive_goaway(*frames.parse_goaway(payload))


def _check_of_connection(name: str, stream_id: int) -> None:
    if stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{name} of a stream")
