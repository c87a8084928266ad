"""The protocol of one WebSocket connection: uvicorn's protocol on `websockets`, with additional limits.

Compression of frames is disabled: thousands of connections would need as many windows, and a few bytes could expand to
a large message before they are counted.
"""

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from edge.http.connection import Connection
from edge.http.departure_watch import DepartureWatch
from edge.http.held_bytes import HeldBytes
from edge.http.stall_timer import StallTimer
from edge.http.websocket_frame import frame_end
from mesh.errors import MeshError

FRAGMENTS_MAX: Final = 1024
"""The maximum number of fragments in a message. Empty fragments use memory that no limit on bytes covers."""

FRAMES_A_TURN: Final = 64
"""How many frames are parsed in one turn of the event loop. A megabyte of pings takes some seconds."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """The protocol of one WebSocket, over uvicorn's. websocket_protocol_class() makes the class of each server."""

    stall_s: ClassVar[float]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._stall = StallTimer(self.transport, self.stall_s)
        self._departure = DepartureWatch(self.transport)
        self._held = HeldBytes.unlimited().of("")  # until the handshake is complete
        self._later = bytearray()  # not parsed yet: an incomplete frame, or what is behind a message
        self._message_bytes = 0  # of the message that waits, or has begun

    def connection_lost(self, exc: Exception | None) -> None:
        self._stall.stop()
        self._departure.stop()
        self._later.clear()
        self._held.set(0)
        super().connection_lost(exc)
        self._connection.handle_loss()

    def handle_connect(self, event: Request) -> None:
        """Accepts the handshake from handle_websocket_upgrade(), and gives the application the client's."""
        super().handle_connect(event)
        self.scope.update(self._connection.handshake)  # type: ignore[typeddict-item] # its members are members of the scope

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.resume()

    def start_drain(self) -> None:
        """Starts the drain; the stream ends with its own status."""
        self._connection.drain()

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self.start_drain()
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Parses complete frames up to the end of a message, so that one message waits for the application. What is
        behind it waits as bytes: short messages take fifty times the memory that they have bytes.
        """
        if not self.handshake_initiated:
            super().data_received(data)
        elif not self.disconnected:
            self._later += data
            self._parse_later()

    def _parse_later(self) -> None:
        frames, size_max = 0, self.config.ws_max_size
        while frames < FRAMES_A_TURN and not self.read_paused and (end := frame_end(self._later, size_max)):
            frame = bytes(self._later[:end])
            del self._later[:end]
            super().data_received(frame)
            frames += 1
        self._hold()
        if frames == FRAMES_A_TURN and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()
            self.loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Continues after FRAMES_A_TURN, unless reading is paused for a message by now, or the connection has ended.
        After our close frame, messages are discarded and none is waited for.
        """
        if self.disconnected or not (self.queue.empty() or self.close_sent):
            return
        self.read_paused = False
        self.transport.resume_reading()
        self._parse_later()

    def _hold(self) -> None:
        """Counts what has arrived as held. Closes the connection if there is no room."""
        try:
            self._held.set(len(self._later) + self._message_bytes)
        except MeshError as error:
            if self.close_sent:  # nobody needs what the client sends before it reads our close frame
                self.transport.abort()
                return
            self.conn.fail(CloseCode.TRY_AGAIN_LATER, error.message)
            self.handle_parser_exception()

    def handle_ping(self) -> None:
        # Don't queue pongs for a peer that isn't reading. RFC 6455, section 5.5.3, requires only the last one.
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(pong)

    async def receive(self) -> Any:
        """Returns the next message for the application; until then its bytes count as held."""
        message = await super().receive()
        if message["type"] == "websocket.connect":  # the scope now has the client from a trusted proxy
            client = self.scope["client"]
            self._held = self._connection.held.of(client[0] if client else "")
        elif message["type"] == "websocket.receive":
            self._message_bytes = 0
        if not self.disconnected:
            self._parse_later()
        return message

    async def send(self, message: Any) -> None:
        """Sends a message of the application. A handshake that it has rejected is complete; for uvicorn it would be an
        error, and one in the log.
        """
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True
        if message["type"] == "websocket.close":
            self._parse_later()  # the client's close frame may be there already

    def handle_text(self, event: Frame) -> None:
        self._message_bytes = len(event.data)
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._message_bytes = len(event.data)
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        self._message_bytes += len(event.data)
        super().handle_cont(event)
        if len(self.frames) > FRAGMENTS_MAX:
            self.conn.fail(CloseCode.POLICY_VIOLATION, "too many fragments")
            self.handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        """Gives a complete message to the application. Closes on a text that is not UTF-8 (RFC 6455, section 8.1); for
        uvicorn it would be an error, and one in the log.
        """
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.conn.fail(CloseCode.INVALID_DATA, "a text is not UTF-8")
                self.handle_parser_exception()
                return
        if self.close_sent:  # uvicorn discards the message
            self._message_bytes = 0
        super().send_receive_event_to_app()
        self._departure.start()

    def handle_parser_exception(self) -> None:
        """Closes as RFC 6455, section 7.1.1, does: sends the close frame and the end of our data, and discards what the
        client is still sending until it closes too, for the time that uvicorn gives to any close. If the connection
        were closed at once, a reset could overtake the close frame.
        """
        if self.close_timer is not None:
            return
        failure = self.conn.close_sent
        if failure is None:  # before the handshake is complete there are no close frames
            self.transport.abort()
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": failure.code, "reason": failure.reason})
        self.frames.clear()
        self._later.clear()
        self._message_bytes = 0
        self._held.set(0)
        self.close_sent = self.disconnected = True  # for the application, which has nothing more to receive or send
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.read_paused = False
        self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        if self.read_paused:  # the pong may be behind messages that the service has not read
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    @property
    def _connection(self) -> Connection:
        connection: Connection = self.app_state[Connection.KEY]
        return connection


def websocket_protocol_class(stall_s: float) -> type[Any]:
    """Returns the protocol class of a server that closes connections of clients that read nothing for `stall_s`."""
    return type("WebSocketProtocol", (WebSocketProtocol,), {"stall_s": stall_s})
