"""The writer of the reply to a handshake: its acceptance, and the frames of the stream."""

from typing import Final

from uvicorn.protocols.utils import ClientDisconnected

from edge.http.headers import Headers
from edge.http.request import Request, Send
from edge.http.request_id import REQUEST_ID
from edge.protocols.websocket.closing import NORMAL
from mesh.errors import Cancelled

SWITCHING: Final = 101


class WebSocketReplyWriter:
    """The writer of one stream, which also completes the access record."""

    def __init__(self, request: Request, send: Send, subprotocol: str | None) -> None:
        """`subprotocol` is the selected one, None if the client offered none."""
        self.started = False
        self.binary = False
        """Whether write() sends binary frames instead of text frames."""
        self._record = request.record
        self._send = send
        self._subprotocol = subprotocol
        self._ended = False

    async def start(self, status: int, headers: Headers) -> bool:
        """Accepts the handshake."""
        self.started, self._record.status = True, status
        headers = [*headers, (REQUEST_ID.encode(), self._record.request_id.encode())]
        await self._send({"type": "websocket.accept", "subprotocol": self._subprotocol, "headers": headers})
        return True

    async def write(self, piece: bytes) -> None:
        """Sends a piece in a frame. Raises Cancelled if the client has disconnected."""
        if not self.binary:
            await self.write_text(piece)
            return
        self._record.response_bytes += len(piece)
        await self._write({"type": "websocket.send", "bytes": piece})

    async def flush(self) -> None:
        """Does nothing, because each piece has been sent in its own frame."""

    async def write_text(self, text: bytes) -> None:
        """Sends a text frame, of UTF-8. Raises Cancelled if the client has disconnected."""
        self._record.response_bytes += len(text)
        await self._write({"type": "websocket.send", "text": text.decode()})

    async def end(self) -> None:
        """Closes the WebSocket normally, unless close() was called."""
        if not self._ended:
            await self.close(NORMAL)

    async def close(self, code: int, reason: str = "") -> None:
        """Closes the WebSocket. Raises Cancelled if the client has disconnected."""
        self._ended = True
        await self._write({"type": "websocket.close", "code": code, "reason": reason})

    async def _write(self, event: dict[str, object]) -> None:
        try:
            await self._send(event)
        except ClientDisconnected:
            raise Cancelled("The client has disconnected.") from None
