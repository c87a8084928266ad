"""The protocol of one HTTP/1.1 connection: uvicorn's, with limits on request heads and handling of lost connections.

uvicorn's protocol on httptools reads heads of any size for any time, answers malformed ones in its own format, and
continues a call whose client has disconnected.
"""

import asyncio
import weakref
from functools import partial
from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edge.http.close_delimited import CloseDelimited
from edge.http.connection import Connection
from edge.http.connection_limits import ConnectionLimits
from edge.http.connections import Connections
from edge.http.departure_watch import DepartureWatch, WatchedFlow
from edge.http.draining import Drain, LastHeaders
from edge.http.errors import HttpError
from edge.http.head_size import HEADER_BYTES, HEADERS_MAX, HeadSize
from edge.http.held_bytes import HeldBytes
from edge.http.rejected_input import reject_input
from edge.http.reply_writer import BYTES_FREE
from edge.http.request_head import body_length, head_error, with_path
from edge.http.stall_timer import StallTimer
from edge.http.websocket_upgrade import acceptable_handshake, asks_for_websocket, handshake_scope
from edge.http.whole_reply import EXTENSION, send_whole
from mesh.errors import MeshError

UNREAD_BYTES_MAX: Final = 16 * 1024 * 1024
"""The maximum of a body that is discarded after the reply, so that a client that is still sending reads the reply."""

UNREAD_PIECE_BYTES: Final = 256
"""How much a piece of such a body counts at least: a chunk of one byte takes as long as a larger one."""

BODY_BYTES_AHEAD: Final = 16 * 1024
"""The maximum of a body that is read before the application asks for it."""

PIECE_BYTES: Final = 64 * 1024
"""How much is parsed at once, and not beyond the end of a head or of a body whose length is known, so that one request
waits for the reply to an earlier one, and the others behind it as bytes.
"""

PIPELINED_MAX: Final = 4
"""The most requests that wait. There may be more than one behind a chunked body, whose end only the parser finds."""

LATER_BYTES: Final = 16 * 1024
"""How much is read behind requests that wait. Reading goes on until then, because only a read shows that a client has
disconnected.
"""

WAITING_BYTES: Final = 4096
"""The memory of a request that waits, without its headers."""

LINGER_S: Final = 2.0
"""The time that an idle connection stays open after the server has stopped."""

_HEAD_END: Final = b"\r\n\r\n"


class Http1Protocol(HttpToolsProtocol):
    """uvicorn's protocol within ConnectionLimits. http1_protocol_class() makes the class of each server."""

    limits: ClassVar[ConnectionLimits]
    drain: ClassVar[Drain]
    held: ClassVar[HeldBytes]
    slots: ClassVar[Connections]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._rejection: MeshError | None = None  # why the parser was stopped
        self._pending_rejection: MeshError | None = None  # sent after the replies to earlier requests
        self._head = HeadSize(self.limits.size_bytes_max)
        self._unread_bytes = 0
        self._is_draining = False
        self._is_arriving = False  # a request whose slot is not marked yet, because most are complete in one read
        self._body_bytes = 0  # of the body that is being parsed
        self._head_timer: asyncio.TimerHandle | None = None
        self._later = b""  # what has arrived and is not parsed, because requests wait
        self._running: Any = None  # the cycle of the request that is being answered, or was the last

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=BYTES_FREE)
        self._departure = DepartureWatch(transport)
        self.flow = WatchedFlow(transport, self._departure)
        address = self.client[0] if self.client else ""
        self._connection = Connection(transport, self.held)
        self._held_later = self.held.of(address)
        self._stall = StallTimer(transport, self.limits.stall_s)
        self.app_state = {**self.app_state, Connection.KEY: self._connection}
        self._connection.slot = self.slots.admit(address, transport.abort)
        if self._connection.slot is None:
            self._reject(HttpError(503, "There are too many connections.", "OVERLOADED", retry_after_s=1))
            return
        self._connection.slot.mark_idle()
        self._start_head_timer()
        if self.drain.started:
            self.start_drain()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_watching()
        self._drop_later()  # uvicorn ends the cycle that was parsed last
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn forgets the timer, which keeps this object, after a reset
        self._connection.handle_loss()
        self._rejection = self._pending_rejection = None  # a frame of its traceback refers to this protocol

    def pause_writing(self) -> None:
        super().pause_writing()
        self._connection.pause_writing()
        self._stall.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._connection.resume_writing()
        self._stall.resume()

    def start_drain(self) -> None:
        """Makes the next reply announce that it is the last one on this connection. Closing the connection at once
        would lose a request that is on its way (RFC 9112, section 9.6).
        """
        self._is_draining = True
        if self.cycle is not None and not self.cycle.response_started:
            self._make_last(self.cycle)
        self._connection.drain()

    def shutdown(self) -> None:
        """Drains the connection, and closes it a little later if it is still idle."""
        self.start_drain()
        self.loop.call_later(LINGER_S, super().shutdown)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        data, start = self._later + data, 0
        while start < len(data) and self._is_next():
            end = self._end_of_piece(data, start)
            self._receive(data if not start and end >= len(data) else memoryview(data)[start:end])
            start = end
        if self.parser is None and start < len(data):
            # Frames behind a handshake, which a client should send only after the reply (RFC 6455, section 4.1).
            self.transport.get_protocol().data_received(data[start:])
        if self._is_arriving and self._connection.slot is not None:
            self._is_arriving = False
            self._connection.slot.mark_receiving()
        if self.pipeline or self._held_later.bytes:
            self._hold_later(data[start:])

    def _is_next(self) -> bool:
        """Returns whether what comes next may be parsed."""
        return not (self.pipeline or self.parser is None or self._pending_rejection or self.transport.is_closing())

    def _end_of_piece(self, data: bytes, start: int) -> int:
        """Returns where the piece ends that is parsed next."""
        end = start + PIECE_BYTES
        if self._head.is_between and data[start] in b"\r\n":
            start = len(data) - len(data[start:].lstrip(b"\r\n"))
        if self._head.in_head or self._head.is_between:
            head_end = data.find(_HEAD_END, start, end)
            return end if head_end < 0 else head_end + len(_HEAD_END)
        left = body_length(self.headers) - self._body_bytes
        return min(start + left, end) if left > 0 else end

    def _receive(self, piece: bytes | memoryview) -> None:
        self._head.start_read(len(piece))
        while piece:
            piece = self._parse(piece)
        if self.transport.is_closing():
            return
        if self._head.exceeds_after_read():
            self._reject(self._too_large())
        elif self._head.in_head and self._head_timer is None:
            self._start_head_timer()

    def _hold_later(self, later: bytes) -> None:
        """Keeps what waits, within the budget for held bytes, and reads on up to LATER_BYTES. If there is no room, none
        of the requests that wait is served.
        """
        if not self.pipeline:
            self._drop_later()
            return
        try:
            self._held_later.set(len(later) + sum(_waiting_bytes(cycle) for cycle, _ in self.pipeline))
        except MeshError as error:
            self._drop_later()
            self._pending_rejection = error
        else:
            self._later = later
        if len(self._later) < LATER_BYTES and self._pending_rejection is None:
            self.flow.resume_reading()
        else:
            self.flow.pause_reading()

    def _drop_later(self) -> None:
        self._later = b""
        self._held_later.set(0)
        if self.pipeline:
            self.pipeline.clear()
            self.cycle = self._running

    def _parse(self, data: bytes | memoryview) -> bytes:
        """Parses what has arrived. Returns what is to be parsed next."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif self._ignores_upgrade():
                return self._head_without_upgrade() + bytes(data[upgrade.args[0] :])
        return b""

    def _ignores_upgrade(self) -> bool:
        """Returns whether an upgrade that the parser takes for the end of HTTP/1.1 is ignored: RFC 9110, section 7.8. A
        CONNECT is rejected.
        """
        return not self._should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _head_without_upgrade(self) -> bytes:
        """Returns the head to parse again, for which this makes a new parser: the parser can't be told to ignore the
        field, and would take the body for the next request.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(lines))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head.start_message()
        self._body_bytes = 0
        self._is_arriving = self.cycle is None or self.cycle.response_complete

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and self._ignores_upgrade():
            return
        super().on_message_complete()
        self._head.end_message()
        self._is_arriving = False
        self._mark_slot()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.url_bytes_max:
            text = f"The URL is longer than {self.limits.url_bytes_max} bytes."
            self._rejection = HttpError(414, text, "URL_TOO_LONG")
            raise self._rejection

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header. One after a chunked body is a trailer, which is counted and dropped, because no trailer has a
        meaning here (RFC 9110, section 6.5.1).
        """
        if self._head.in_head:
            super().on_header(name, value)
        if self._head.exceeds_with_header(name, value):
            self._rejection = self._too_large()
            raise self._rejection

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self._ignores_upgrade():
            return
        self._head.end_head()
        self._stop_head_timer()
        try:
            self.drain.record_request()
        except MeshError as error:
            self._rejection = error
            raise
        version = self.parser.get_http_version()
        if why := head_error(version, self.url, self.headers):
            self._rejection = HttpError(400, why, "MALFORMED_REQUEST")
            raise self._rejection
        self.url = with_path(self.url)
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110, section 10.1.1
        if len(self.pipeline) >= PIPELINED_MAX:
            text = f"More than {PIPELINED_MAX} requests wait for the replies to earlier ones on this connection."
            self._rejection = HttpError(503, text, "OVERLOADED", retry_after_s=1)
            raise self._rejection
        if self.parser.should_upgrade() and self._should_upgrade():
            self._connection.handshake = handshake_scope(self.url, self.headers)
        super().on_headers_complete()
        if self.cycle is None:
            return
        # A weak reference, because the cycle holds the scope: only the garbage collector could free both.
        self.scope["extensions"] = {EXTENSION: {"send": partial(send_whole, weakref.ref(self.cycle))}}
        if self._is_draining:
            self._make_last(self.cycle)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        if cycle.scope["http_version"] == "1.0":
            app = CloseDelimited(app, cycle)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._mark_slot()
        if self._pending_rejection is not None:
            self._reject(self._pending_rejection)
        elif self._held_later.bytes:
            self.data_received(b"")

    def on_chunk_header(self) -> None:
        """Records that the length of a chunk has been parsed."""
        self._head.end_line()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._head.end_line()
        self._body_bytes += len(body)
        if not self.cycle.response_complete and len(self.cycle.body) > BODY_BYTES_AHEAD:
            self.flow.pause_reading()
        if self.cycle.response_complete:
            self._unread_bytes += max(len(body), UNREAD_PIECE_BYTES)
            if self._unread_bytes > UNREAD_BYTES_MAX:
                self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Hands over to the WebSocket protocol, with a handshake that its library accepts; the application checks the
        client's.
        """
        if self.cycle is not None and (not self.cycle.response_complete or self.flow.write_paused):
            # Replies keep the order of the requests: RFC 9112, section 9.3.2. The next protocol would not know that
            # the send buffer is full of them.
            text = "A WebSocket handshake must wait for the replies to earlier requests on its connection."
            self._reject(HttpError(400, text, "MALFORMED_REQUEST"))
            return
        self._connection.mark_busy()
        self._stop_watching()
        self.url = b"/"
        self.scope["headers"] = acceptable_handshake(self.headers)
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment] # as in uvicorn: it refers to this protocol

    def send_400_response(self, msg: str) -> None:
        self._reject(self._rejection or HttpError(400, "This is not a valid HTTP/1.1 request.", "MALFORMED_REQUEST"))

    def _should_upgrade(self) -> bool:
        """Returns whether a request asks for a WebSocket; called by uvicorn too."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        return self._should_upgrade_to_ws() and asks_for_websocket(method, version, self.headers)

    def _mark_slot(self) -> None:
        """Marks the connection's slot as idle, receiving or busy."""
        if self._connection.slot is None:
            return
        if self.pipeline or self.cycle is None or not self.cycle.response_complete:
            self._connection.slot.mark_busy()
        elif self._head.is_between:
            self._connection.slot.mark_idle()
        else:
            self._connection.slot.mark_receiving()

    def _make_last(self, cycle: Any) -> None:
        cycle.keep_alive = False
        cycle.default_headers = self._last_headers()

    def _last_headers(self) -> LastHeaders:
        return LastHeaders(self.server_state.default_headers, self.drain.headers() if self._is_draining else [])

    def _too_large(self) -> HttpError:
        size = f"larger than {self.limits.size_bytes_max} bytes"
        text = f"The request line and the headers are {size}, or there are more than {HEADERS_MAX} headers."
        return HttpError(431, text, "HEADERS_TOO_LARGE")

    def _stop_watching(self) -> None:
        self._stall.stop()
        self._departure.stop()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.timeout_s, self._head_timed_out)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_timed_out(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._start_head_timer()  # little or nothing is read until earlier requests are answered
        elif self._head.is_between:
            self.transport.close()
        elif self._head.in_head:
            text = f"The headers did not arrive within {self.limits.timeout_s:g} s."
            self._reject(HttpError(408, text, "HEADERS_TIMEOUT"))

    def _reject(self, error: MeshError) -> None:
        """Sends an error after the replies to earlier requests, and closes the connection, because the start of the
        next request is unknown.
        """
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if self.pipeline or self.cycle.scope is not self.scope:  # it is about a later request
                self._pending_rejection = self._pending_rejection or error
                self.flow.pause_reading()
                return
            if self.cycle.response_started:
                self.transport.close()  # cuts off the reply to this request, which has begun
                return
        elif self.cycle is not None and self.cycle.scope is self.scope and not self._head.is_between:
            self.transport.close()  # this request has been answered, and must not be answered twice
            return
        reject_input(self.transport, error, self._last_headers())


def _waiting_bytes(cycle: Any) -> int:
    """Returns the memory of a request that waits."""
    headers = cycle.scope["headers"]
    return WAITING_BYTES + len(cycle.body) + sum(HEADER_BYTES + len(name) + len(value) for name, value in headers)


def http1_protocol_class(
    limits: ConnectionLimits, drain: Drain, held: HeldBytes, slots: Connections
) -> type[Http1Protocol]:
    """Returns the protocol class of one server, with its limits and with the state that its connections share."""
    return type("Http1Protocol", (Http1Protocol,), {"limits": limits, "drain": drain, "held": held, "slots": slots})
