"""A connection to an HTTP/2 server, from the side of a client that accepts no pushes."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from mesh.http2.client.call import ClientCall
from mesh.http2.client.receiver import ClientReceiver
from mesh.http2.client.response_head import FieldsReader
from mesh.http2.client.streams import ClientStreams
from mesh.http2.connection import PREFACE, Connection
from mesh.http2.faults import ErrorCode
from mesh.http2.fields import LIST_BYTES_MAX
from mesh.http2.keepalive import Keepalive
from mesh.http2.peer_settings import (
    ENABLE_PUSH,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    MAX_HEADER_LIST_SIZE,
    PeerSettings,
)
from mesh.http2.windows import WINDOW_BYTES
from mesh.rpc.call_error import CallError

UNSENT_BYTES_MAX: Final = 4_194_304
"""The most bytes that wait for a server that does not read."""

OUR_SETTINGS: Final = {
    HEADER_TABLE_SIZE: 0,
    ENABLE_PUSH: 0,
    INITIAL_WINDOW_SIZE: WINDOW_BYTES,
    MAX_HEADER_LIST_SIZE: LIST_BYTES_MAX,
}


class ClientConnection(Connection):
    """A connection, made by loop.create_connection(). `ready` is done when the server has sent its settings, and raises
    CallError if the connection fails before.
    """

    streams: ClientStreams

    def __init__(
        self, keepalive_s: float, on_change: Callable[["ClientConnection"], None], on_room: Callable[[], None]
    ) -> None:
        """`on_room` is called when a stream has ended, `on_change` when the connection has more room for another
        reason, or stops to accept streams. A quiet connection with streams is pinged every `keepalive_s`.
        """
        super().__init__(PeerSettings(), UNSENT_BYTES_MAX)
        self._on_change = on_change
        self._on_room = on_room
        self.is_draining = False
        """Whether no more streams are opened, so that the connection is closed after the last one."""
        self._is_doubted = False
        self._heard_before = self._asked_before = 0
        self.streams = ClientStreams(self.outbox, self.sender, self._stream_ended)
        self._receiver = ClientReceiver(self, self._peer, self._flood_limit, self._settings_changed)
        self._keepalive = Keepalive(keepalive_s, self.outbox, self.streams, self._fell_silent)
        self.fields = FieldsReader()
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

    def open(self, stream: ClientCall, block: bytes, data: bytes, *, ends: bool) -> None:
        """Opens a stream with a request: its header block and the first data. The caller has checked that there is
        room.
        """
        stream.connection, stream.send_window = self, self._peer.window_bytes
        self.streams.add(stream)
        if self.streams.are_numbered_out:
            self.drain()
        self.send_block(stream.id, block)
        if data or ends:
            self.sender.send(stream, data, ends=ends)

    def drain(self) -> None:
        """Opens no more streams, and closes the connection after the last one."""
        self.is_draining = True
        self._on_change(self)
        self._close_if_idle()

    def doubt(self, stream: ClientCall) -> None:
        """Pings the server if nothing has arrived since a stream was opened whose deadline has passed, and opens no
        more streams before something does. The server may just be slow, and servers count pings without data between
        them: the next one comes after a later stream has been heard of.
        https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md#server-enforcement
        """
        if stream.id >= self._heard_before > self._asked_before and not self._is_doubted:
            self._is_doubted = True
            self._keepalive.ask()
            self._on_change(self)

    def connection_made(self, transport: Any) -> None:
        """Sends the preface and our settings: section 3.4."""
        self._start(transport, PREFACE, OUR_SETTINGS)

    def data_received(self, data: bytes) -> None:
        """Handles what the server sent, and trusts it again."""
        self._heard_before = self.streams.next_id
        if self._is_doubted:
            self._is_doubted, self._asked_before = False, self.streams.next_id
            self._on_change(self)
        super().data_received(data)

    def _settings_changed(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
        self._on_change(self)

    def _stream_ended(self) -> None:
        if self.is_draining:
            self._close_if_idle()
        else:
            self._on_room()

    def _close_if_idle(self) -> None:
        if not self.streams:
            self.close()

    def _end(self, error: CallError, code: ErrorCode | None, *, reader_s: float = 0.0) -> None:
        self.is_draining = True
        super()._end(error, code, reader_s=reader_s)

    def _ended(self, error: CallError) -> None:
        if not self.ready.done():
            self.ready.set_exception(error.copy())
            self.ready.exception()  # nobody awaits the connection of an attempt that has been given up
        self.streams.fail_all(error)
        self._on_change(self)
