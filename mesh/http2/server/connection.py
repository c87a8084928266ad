"""A connection that a client has opened."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from mesh.errors import Code
from mesh.http2 import frames
from mesh.http2.connection import Connection
from mesh.http2.faults import ErrorCode, StreamFault
from mesh.http2.fields import LIST_BYTES_MAX
from mesh.http2.hpack import Field
from mesh.http2.keepalive import Keepalive
from mesh.http2.peer_settings import (
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_HEADER_LIST_SIZE,
    PeerSettings,
)
from mesh.http2.server import request_head, response_head
from mesh.http2.server.call import ServerCall
from mesh.http2.server.receiver import ServerReceiver
from mesh.http2.server.streams import ServerStreams
from mesh.http2.statuses import unavailable
from mesh.http2.windows import WINDOW_BYTES
from mesh.rpc.call_error import CallError

if TYPE_CHECKING:
    from mesh.http2.server.server import Http2Server

STREAMS_MAX: Final = 1_000
"""The most streams of one connection."""

UNSENT_BYTES_MAX: Final = 1_048_576
"""The most bytes that wait for a client that does not read."""

KEEPALIVE_S: Final = 30.0
"""After how long a connection with calls is pinged from which nothing comes: its client may be gone."""

PONG_S_MAX: Final = 1.0
"""How long the end of a connection waits for the calls that its client opened before it knew."""

PAUSE_S: Final = 1.0
"""How long a connection that is renewed stays open after its last stream. Envoy drops what it has not passed on when
the connection is closed, even if the stream is complete.
"""

STOP_PAUSE_S: Final = 0.1
"""The same while the server stops."""

FAREWELL_S: Final = 10.0
"""How long a client may take to read the last bytes of a connection, and to close its side."""

OUR_SETTINGS: Final = {
    MAX_CONCURRENT_STREAMS: STREAMS_MAX,
    INITIAL_WINDOW_SIZE: WINDOW_BYTES,
    MAX_HEADER_LIST_SIZE: LIST_BYTES_MAX,
}

_DRAIN_PING: Final = b"draining"


class ServerConnection(Connection):
    """A connection of a server, from its preface to its end."""

    streams: ServerStreams

    def __init__(self, server: "Http2Server") -> None:
        peer = PeerSettings(of_client=True)
        super().__init__(peer, UNSENT_BYTES_MAX)
        self._server = server
        self.streams = ServerStreams(self.outbox, self.sender, self._stream_ended)
        self._receiver = ServerReceiver(self, peer, self._flood_limit)
        self._keepalive = Keepalive(KEEPALIVE_S, self.outbox, self.streams, self._fell_silent)
        self._next_step: asyncio.TimerHandle
        """The renewal of the connection, then its end."""
        self.client: str
        self._quiet_since = 0.0
        self._is_draining = False

    # What the server and its calls do.

    def refuse(self) -> None:
        """Ends a connection of which there are too many, without waiting for its client."""
        self._end(unavailable("too many connections"), ErrorCode.ENHANCE_YOUR_CALM)

    def drain(self) -> None:
        """Asks the client to open no more streams, and closes the connection after the last one. Streams that are on
        their way are accepted: those that the client opens before it answers a ping (section 6.8).
        """
        if self._is_draining or self.is_closed:
            return
        self._is_draining = True
        self._next_step.cancel()
        self._server.draining(self)
        self.outbox.send(frames.goaway(frames.STREAM_ID_MAX, ErrorCode.NO_ERROR))
        self.outbox.send(frames.frame(frames.PING, 0, 0, _DRAIN_PING))
        self.loop.call_later(PONG_S_MAX, self._accept_no_more)

    def serve(self, call: ServerCall) -> None:
        """Starts the handler of a call."""
        self._server.serve(call)

    def refused(self, path: str, error: CallError) -> None:
        """Logs a call that ends at a limit, or before its handler."""
        self._server.faults.call_refused(path, error)

    def expire_calls(self, now: float) -> None:
        """Ends the calls whose client has not sent or read what they wait for in time."""
        for call in tuple(self.streams):
            call.expire(now)

    def abort_calls(self, code: Code, text: str) -> None:
        """Ends all calls with an error."""
        for call in tuple(self.streams):
            call.abort(code, text)

    # What the receiver calls.

    def open(self, stream_id: int, fields: Sequence[Field] | None, *, ends: bool) -> ServerCall | None:
        """Opens a stream with the fields of its request; None stands for too many of them. Returns its call, None if
        nothing more is expected of it.
        """
        self.streams.number(stream_id)
        # A client that has opened a stream too late calls again elsewhere: it knows that we have not processed it.
        call = self._called(stream_id, fields, ends=ends) if self.streams.accepts else None
        if call is not None:
            return call if self._begin(call, ends=ends) else None
        if not ends:
            self.streams.expect_late(WINDOW_BYTES)
        return None

    def receive_pong(self, payload: bytes) -> None:
        """Handles the answer to a ping."""
        if self._is_draining and payload == _DRAIN_PING:
            self._accept_no_more()

    def _called(self, stream_id: int, fields: Sequence[Field] | None, *, ends: bool) -> ServerCall | None:
        """Returns the call of a request, None if it is none or one too many; that has been answered."""
        if len(self.streams) >= STREAMS_MAX:
            self.outbox.put(frames.rst_stream(stream_id, ErrorCode.REFUSED_STREAM))  # section 5.1.2
            return None
        try:
            head = request_head.parse(_complete(fields))
            return ServerCall(self, self._server.route(head.path), head, self._server.load)
        except StreamFault as fault:
            self.outbox.put(frames.rst_stream(stream_id, fault.code))
        except request_head.NotGrpc as error:
            self._answer(stream_id, response_head.of_http(error.http_status), ends=ends)
        except CallError as error:
            self.refused(dict(fields or ()).get(b":path", b"").decode("latin-1"), error)
            self._answer(stream_id, response_head.HEADERS + response_head.failed(error.code, error.text, ()), ends=ends)
        return None

    def _begin(self, call: ServerCall, *, ends: bool) -> bool:
        """Returns whether the server has room for the call; otherwise it has been answered."""
        call.send_window = self._peer.window_bytes
        self.streams.add(call)
        try:
            self._server.load.enter(call.head.size)
        except CallError as error:
            self.refused(call.head.path, error)
            call.is_ended = ends
            call.abort(error.code, error.text)
            return False
        if call.route.takes_stream:
            self.serve(call)
        return True

    def _answer(self, stream_id: int, block: bytes, *, ends: bool) -> None:
        """Answers a request of no call, whose rest is of no use."""
        self.send_block(stream_id, block, frames.END_STREAM)
        if not ends:
            self.outbox.put(frames.rst_stream(stream_id, ErrorCode.NO_ERROR))

    # What asyncio and the parts call.

    def connection_made(self, transport: Any) -> None:
        """Sends our settings."""
        self.client = str(transport.get_extra_info("peername"))
        self._start(transport, b"", OUR_SETTINGS)
        self._next_step = self.loop.call_later(self._server.connected(self), self.drain)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the calls. The last bytes have left, or never will."""
        super().connection_lost(exc)
        self._server.disconnected(self)

    def _stream_ended(self) -> None:
        self._quiet_since = self.loop.time()
        if not self.streams.accepts:
            self._close_if_idle()

    def _accept_no_more(self) -> None:
        if self.streams.accepts and not self.is_closed:
            self.streams.accept_no_more()
            self.outbox.send(frames.goaway(self.streams.last_peer_id, ErrorCode.NO_ERROR))
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if not self.streams:
            pause_s = STOP_PAUSE_S if self._server.is_stopping else PAUSE_S
            due = max(self._quiet_since + pause_s - self.loop.time(), 0.0)
            self._next_step = self.loop.call_later(due, self._close_after_client)

    def _close_after_client(self) -> None:
        self._end(unavailable("the connection has ended"), ErrorCode.NO_ERROR, reader_s=FAREWELL_S)

    def _end(self, error: CallError, code: ErrorCode | None, *, reader_s: float = 0.0) -> None:
        if code and not self.is_closed:
            self._server.faults.connection_failed(self.client, error)
        super()._end(error, code, reader_s=reader_s)

    def _ended(self, error: CallError) -> None:
        self._next_step.cancel()
        self.streams.fail_all(error)


def _complete(fields: Sequence[Field] | None) -> Sequence[Field]:
    if fields is None:
        raise CallError(Code.RESOURCE_EXHAUSTED, f"received metadata size exceeds {LIST_BYTES_MAX} bytes")
    return fields
