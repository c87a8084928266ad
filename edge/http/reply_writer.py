"""The writer of the reply to one request: a complete one, or a head and a streamed body.

It adds what all replies have: the content coding, the CORS headers and the request id.
"""

from typing import Final

from edge.http import compression
from edge.http.cors import Cors
from edge.http.headers import Headers
from edge.http.preconditions import check_current, is_not_modified
from edge.http.reply import Reply
from edge.http.request import Request, Send
from edge.http.request_id import REQUEST_ID

BYTES_FREE: Final = 16 * 1024
"""Smaller bodies are not counted as held, because each connection has a send buffer of this size."""

_REQUEST_ID: Final = REQUEST_ID.encode()
_NOT_MODIFIED: Final = 304
_NO_CONTENT: Final = (204, _NOT_MODIFIED)


class ReplyWriter:
    """The writer of one reply, which also completes the access record."""

    def __init__(self, request: Request, send: Send, cors: Cors) -> None:
        self._request = request
        self._send = send
        self._cors = cors
        self._encoder: compression.Encoder | None = None
        self._pieces: list[bytes] = []  # written since the last flush
        self.started = False
        """Whether the head has been sent."""
        self._ended = False

    async def reply(self, reply: Reply) -> None:
        """Sends a complete reply, which check_current() has passed. Raises as HeldByteCounter.add() if its body has no
        room, before anything is sent.
        """
        body = reply.body
        coding = compression.negotiate(reply.status, reply.headers, self._request, len(body))
        if is_not_modified(self._request, reply.status, reply.headers):
            await self._reply_not_modified(reply.headers)
            return
        if coding:
            reply.headers.append((b"content-encoding", coding.encode()))
            body = await compression.compress(body, coding)
        if len(body) > BYTES_FREE:  # the reply replaces the request in memory
            self._request.held.set(0)
            self._request.held.add(len(body))
        if reply.status not in _NO_CONTENT:
            reply.headers.append((b"content-length", str(len(body)).encode()))
        await self._send_whole(reply.status, reply.headers, body)
        if len(body) > BYTES_FREE:
            await self._request.connection.wait_writable()

    async def start(self, status: int, headers: Headers) -> bool:
        """Sends the head of a streamed response. Returns whether the client needs the body. Raises as check_current(),
        before anything is sent.
        """
        check_current(self._request, status, headers)
        coding = compression.negotiate(status, headers, self._request, None)
        if is_not_modified(self._request, status, headers):
            await self._reply_not_modified(headers)
            return False
        if coding:
            headers.append((b"content-encoding", coding.encode()))
            self._encoder = compression.new_encoder(coding)
        await self._send_head(status, headers)
        return self._request.method != "HEAD"

    async def write(self, piece: bytes) -> None:
        """Adds a piece to the body, which leaves with flush() or end()."""
        self._pieces.append(piece)

    async def flush(self) -> None:
        """Sends the pieces that have been written, as one. Returns when the client has received most of the data sent
        before.
        """
        if not self._pieces:
            return
        body = self._taken()
        self._request.record.response_bytes += len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self) -> None:
        """Ends a streamed body. Does nothing if the response has ended."""
        if self._ended:
            return
        body = self._taken() if self._pieces else b""
        if self._encoder is not None:
            body += self._encoder.end()
        await self._send_body(body)

    def _taken(self) -> bytes:
        """Returns the pieces that have been written, encoded."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        return body if self._encoder is None else self._encoder.encode(body)

    async def _send_whole(self, status: int, headers: Headers, body: bytes) -> None:
        send = self._request.send_whole
        if send is None or not send(status, self._with_own(headers), body):
            await self._send_head(status, headers)
            await self._send_body(body)
            return
        self.started, self._ended = True, True
        self._request.record.status = status
        self._request.record.response_bytes += len(body)

    async def _send_head(self, status: int, headers: Headers) -> None:
        self.started, self._request.record.status = True, status
        await self._send({"type": "http.response.start", "status": status, "headers": self._with_own(headers)})

    def _with_own(self, headers: Headers) -> Headers:
        """Returns the headers of a reply with those that all replies have."""
        own = [(_REQUEST_ID, self._request.record.request_id.encode()), (b"x-content-type-options", b"nosniff")]
        return [*headers, *self._cors.headers(self._request), *own]

    async def _send_body(self, body: bytes) -> None:
        self._ended = True
        self._request.record.response_bytes += len(body)
        await self._send({"type": "http.response.body", "body": body})

    async def _reply_not_modified(self, headers: Headers) -> None:
        """Sends a 304 with the headers for caches, without those that describe content (RFC 9110, section 15.4.5)."""
        kept = [(name, value) for name, value in headers if not name.startswith(b"content-")]
        await self._send_whole(_NOT_MODIFIED, kept, b"")
