"""A connection of HTTP/2, from either side: RFC 9113."""

import abc
import asyncio
from typing import Any, Final

from mesh.http2 import frames
from mesh.http2.data_sender import DataSender
from mesh.http2.faults import ErrorCode, Fault
from mesh.http2.flood_limit import FloodLimit
from mesh.http2.hpack import SIZED_TO_0
from mesh.http2.keepalive import Keepalive
from mesh.http2.outbox import Outbox
from mesh.http2.peer_settings import PeerSettings
from mesh.http2.receiver import CONNECTION_WINDOW_BYTES, Receiver
from mesh.http2.statuses import unavailable
from mesh.http2.streams import Streams
from mesh.http2.windows import WINDOW_BYTES
from mesh.rpc.call_error import CallError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first: section 3.4."""


class Connection(asyncio.Protocol, abc.ABC):
    """The part that both sides share. Subclasses make the streams and the receiver, and send the first bytes."""

    streams: Streams[Any]
    _receiver: Receiver
    _keepalive: Keepalive

    def __init__(self, peer: PeerSettings, unsent_bytes_max: int) -> None:
        self.loop = asyncio.get_running_loop()
        self._error: CallError | None = None
        self._peer = peer
        self._has_sized_table = False
        self._flood_limit = FloodLimit()
        self.outbox = Outbox(self._flood_limit, unsent_bytes_max, self._pump, self._overflow)
        self.sender = DataSender(self.outbox, self._peer)

    @property
    def is_closed(self) -> bool:
        """Returns whether the connection and all its streams have ended."""
        return self._error is not None

    def close(self) -> None:
        """Ends the connection and its streams."""
        self._end(unavailable("the connection was closed"), ErrorCode.NO_ERROR)

    def send_block(self, stream_id: int, block: bytes, flags: int = 0) -> None:
        """Sends a header block. The first one sets the size of our table, which we do not use, to 0: a peer that has
        announced a smaller one than the initial waits for that (RFC 7541, section 4.2).
        """
        if not self._has_sized_table:
            self._has_sized_table = True
            block = SIZED_TO_0 + block
        self.outbox.send(frames.header_block(stream_id, block, self._peer.frame_bytes_max, flags))

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:
        """Handles what the peer sent."""
        self._keepalive.is_quiet = False
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
        self.outbox.pause()

    def resume_writing(self) -> None:
        """Sends data again."""
        self.outbox.resume()

    # What its parts call.

    def _pump(self) -> None:
        self.sender.pump()

    def _overflow(self) -> None:
        self._end(unavailable("the peer does not read"), ErrorCode.ENHANCE_YOUR_CALM)

    def _fell_silent(self) -> None:
        self._end(unavailable("the peer answers no pings"), None)

    # The start and the end.

    def _start(self, transport: Any, preface: bytes, settings: dict[int, int]) -> None:
        window = frames.window_update(0, CONNECTION_WINDOW_BYTES - WINDOW_BYTES)
        self.outbox.connect(transport, preface + frames.settings(settings) + window)
        self._keepalive.start()

    def _end(self, error: CallError, code: ErrorCode | None, *, reader_s: float = 0.0) -> None:
        """Ends the connection with an error code for the peer, or without one if it is lost."""
        if self._error is not None:
            return
        self._error = error
        self._keepalive.stop()
        self._receiver.stop()
        if code is None:
            self.outbox.abort()
        else:
            self.outbox.close(frames.goaway(self.streams.last_peer_id, code), reader_s)
        self._ended(error)

    @abc.abstractmethod
    def _ended(self, error: CallError) -> None:
        """Ends the streams, when nothing more can be sent."""
