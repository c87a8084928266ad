"""A connection to an HTTP/2 server: RFC 9113, from the side of a client that accepts no pushes."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from mesh.http2 import frames
from mesh.http2.data_sender import DataSender
from mesh.http2.faults import ErrorCode, Fault
from mesh.http2.flood_limit import FloodLimit
from mesh.http2.keepalive import Keepalive
from mesh.http2.outbox import Outbox
from mesh.http2.peer_settings import OUR_SETTINGS, PeerSettings
from mesh.http2.receiver import CONNECTION_WINDOW_BYTES, Receiver
from mesh.http2.response_head import FieldsReader
from mesh.http2.statuses import unavailable
from mesh.http2.stream import Stream
from mesh.http2.streams import Streams
from mesh.http2.windows import WINDOW_BYTES
from mesh.rpc.call_error import CallError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Connection(asyncio.Protocol):
    """A connection, made by loop.create_connection(). `ready` is done when the server has sent its settings, and raises
    CallError if the connection fails before.
    """

    def __init__(
        self, keepalive_s: float, on_change: Callable[["Connection"], None], on_room: Callable[[], None]
    ) -> None:
        """`on_room` is called when a stream has ended, `on_change` when the connection has more room for another
        reason, or stops to accept streams. A quiet connection with streams is pinged every `keepalive_s`.
        """
        self._on_change = on_change
        self._on_room = on_room
        self._peer = PeerSettings()
        self.is_draining = False
        """Whether no more streams are opened, so that the connection is closed after the last one."""
        self._is_doubted = False
        self._heard_before = self._asked_before = 0
        self._error: CallError | None = None
        flood_limit = FloodLimit()
        self._outbox = Outbox(flood_limit, self._pump, self._overflow)
        self.sender = DataSender(self._outbox, self._peer)
        self.streams = Streams(self._outbox, self.sender, self._stream_ended)
        self._receiver = Receiver(
            self._outbox,
            self.sender,
            self.streams,
            self._peer,
            flood_limit,
            on_settings=self._settings_changed,
            on_goaway=self.drain,
        )
        self._keepalive = Keepalive(keepalive_s, self._outbox, self.streams, self._fell_silent)
        self.fields = FieldsReader()
        self.loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self.loop.create_future()

    @property
    def room(self) -> int:
        """Returns how many more streams may be opened."""
        if self.is_draining or self._is_doubted or not self._peer.are_known:
            return 0
        return self._peer.streams_max - len(self.streams)

    @property
    def is_usable(self) -> bool:
        """Returns whether streams may be opened, now or when others have ended."""
        return not self.is_draining and not self._is_doubted

    @property
    def allows_streams(self) -> bool:
        """Returns whether the server allows any streams on the connection."""
        return self._peer.streams_max > 0

    @property
    def is_answered(self) -> bool:
        """Returns whether the server has answered any call."""
        return self.streams.are_answered

    @property
    def is_closed(self) -> bool:
        """Returns whether the connection and all its streams have ended."""
        return self._error is not None

    def open(self, stream: Stream, block: bytes, data: bytes, *, ends: bool) -> None:
        """Opens a stream with a request: its header block and the first data. The caller has checked that there is
        room.
        """
        stream.connection, stream.send_window = self, self._peer.window_bytes
        self.streams.add(stream)
        if self.streams.are_numbered_out:
            self.drain()
        self._outbox.send(frames.header_block(stream.id, block, self._peer.frame_bytes_max))
        if data or ends:
            self.sender.send(stream, data, ends=ends)

    def drain(self) -> None:
        """Opens no more streams, and closes the connection after the last one."""
        self.is_draining = True
        self._on_change(self)
        self._close_if_idle()

    def doubt(self, stream: Stream) -> None:
        """Pings the server if nothing has arrived since a stream was opened whose deadline has passed, and opens no
        more streams before something does. The server may just be slow, and servers count pings without data between
        them: the next one comes after a later stream has been heard of.
        https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md#server-enforcement
        """
        if stream.id >= self._heard_before > self._asked_before and not self._is_doubted:
            self._is_doubted = True
            self._keepalive.ask()
            self._on_change(self)

    def _trust(self) -> None:
        self._is_doubted, self._asked_before = False, self.streams.next_id
        self._on_change(self)

    def close(self) -> None:
        """Ends the connection and its streams."""
        self._end(unavailable("the connection was closed"), ErrorCode.NO_ERROR)

    # What asyncio calls.

    def connection_made(self, transport: Any) -> None:
        """Sends the preface and our settings: section 3.4."""
        window = frames.window_update(0, CONNECTION_WINDOW_BYTES - WINDOW_BYTES)
        self._outbox.connect(transport, PREFACE + frames.settings(OUR_SETTINGS) + window)
        self._keepalive.start()

    def data_received(self, data: bytes) -> None:
        """Handles what the server sent."""
        self._keepalive.is_quiet = False
        self._heard_before = self.streams.next_id
        if self._is_doubted:
            self._trust()
        if self._error is not None:
            return
        try:
            self._receiver.receive(data)
        except Fault as fault:
            self._end(unavailable(str(fault)), fault.code)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the streams."""
        self._end(unavailable("the connection was lost"), None)

    def eof_received(self) -> None:
        """Ends the streams. A transport that closes by itself would first wait until its buffer has been sent."""
        self.connection_lost(None)

    def pause_writing(self) -> None:
        """Stops sending data; the socket's buffer is full."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """Sends data again."""
        self._outbox.resume()

    # What its parts call.

    def _pump(self) -> None:
        self.sender.pump()

    def _settings_changed(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
        self._on_change(self)

    def _stream_ended(self) -> None:
        if self.is_draining:
            self._close_if_idle()
        else:
            self._on_room()

    def _overflow(self) -> None:
        self._end(unavailable("the server does not read"), ErrorCode.ENHANCE_YOUR_CALM)

    def _fell_silent(self) -> None:
        self._end(unavailable("the server answers no pings"), None)

    # Ends.

    def _close_if_idle(self) -> None:
        if not self.streams:
            self.close()

    def _end(self, error: CallError, code: ErrorCode | None) -> None:
        """Ends the connection with an error code for the server, or without one if it is lost."""
        if self._error is not None:
            return
        self._error, self.is_draining = error, True
        self._keepalive.stop()
        if code is None:
            self._outbox.abort()
        else:
            self._outbox.close(frames.goaway(code))
        if not self.ready.done():
            self.ready.set_exception(error.copy())
            self.ready.exception()  # nobody awaits the connection of an attempt that has been given up
        self.streams.fail_all(error)
        self._on_change(self)
