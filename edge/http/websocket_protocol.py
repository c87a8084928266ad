"""One WebSocket's connection: uvicorn's protocol on `websockets`, with limits where it has none.

Frames come compressed in no case: thousands of connections would hold as many windows, and a few bytes could become a
whole message each before anybody counts them.
"""

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from edge.http.connection import Connection
from edge.http.held_bytes import unlimited
from edge.http.stall import Stall
from mesh.errors import MeshError

FRAGMENTS_MAX: Final = 1024
"""Of one message. Empty ones cost memory too, and no limit on bytes ends them."""


class Socket(WebSocketsSansIOProtocol):
    """uvicorn's protocol; socket_protocol() makes one for each server."""

    stall_s: ClassVar[float]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._stall = Stall(self.transport, self.stall_s)
        self._held = unlimited()  # there are no messages before the handshake

    def connection_lost(self, exc: Exception | None) -> None:
        self._stall.end()
        self._held.set(0)
        super().connection_lost(exc)
        self._connection.lose()

    def handle_connect(self, event: Request) -> None:
        """Takes the handshake that edge.connection made, for an application that sees the client's."""
        super().handle_connect(event)
        self.scope.update(self._connection.handshake)  # type: ignore[typeddict-item] # its members are of the scope's

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.begin()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.end()

    def leave(self) -> None:
        """The server leaves; the stream ends with a status of its own."""
        self._connection.drain()

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self.leave()
        else:
            super().shutdown()

    def handle_ping(self) -> None:
        # The answers to who reads none of them must not pile up. RFC 6455, section 5.5.3, wants the last one only.
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(pong)

    async def receive(self) -> Any:
        """Gives the application a message, which counts as held until then."""
        message = await super().receive()
        if message["type"] == "websocket.connect":  # by now the scope has the client that a trusted proxy names
            client = self.scope["client"]
            self._held = self._connection.held.of(client[0] if client else "")
        if not self.frames:
            self._held.set(0)
        return message

    def handle_text(self, event: Frame) -> None:
        if self._hold(event):
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._hold(event):
            super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        if not self._hold(event):
            return
        super().handle_cont(event)
        if len(self.frames) > FRAGMENTS_MAX:
            self.conn.fail(CloseCode.POLICY_VIOLATION, "too many fragments")
            self.handle_parser_exception()

    def _hold(self, event: Frame) -> bool:
        """Counts a piece of a message; closes the connection if there is no room for it."""
        try:
            self._held.add(len(event.data))
        except MeshError as error:
            self.conn.fail(CloseCode.TRY_AGAIN_LATER, error.message)
            self.handle_parser_exception()
            return False
        return True

    def keepalive_timeout(self) -> None:
        if self.read_paused:  # by the service, which takes no more messages: the answer may be behind them
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    @property
    def _connection(self) -> Connection:
        connection: Connection = self.app_state[Connection.KEY]
        return connection


def socket_protocol(stall_s: float) -> type[Any]:
    """The protocol class of a server whose clients may take nothing for `stall_s`."""
    return type("Socket", (Socket,), {"stall_s": stall_s})
