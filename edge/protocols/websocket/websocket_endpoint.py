"""Streaming methods of all kinds over WebSocket.

- A text frame is a JSON message, the route's body; a binary frame is a piece of a file (google.api.HttpBody).
- An empty text frame ends the client's messages. It can't be a message itself, because it is not JSON.
- A method that takes one message reads it from the first frame, or from the URL if its rule has no body.
- The close frame holds the status. After an error, a text frame before it holds the whole error.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, MutableMapping
from typing import Any, Final

from edge.bind.system_parameters import ALT, SystemParameterReader
from edge.call.rpc import Rpc
from edge.contract.route import Route
from edge.http import worker_thread
from edge.http.body_too_large import body_too_large
from edge.http.errors import render
from edge.http.headers import Headers
from edge.http.request import Request
from edge.http.stream_limits import StreamLimits
from edge.protocols.driver import CallDriver
from edge.protocols.exchange import StreamExchange, StreamReplyWriter
from edge.protocols.rest.request_reader import RequestMessages, RequestReader
from edge.protocols.rest.stream_writer import StreamFormat
from edge.protocols.rest.transcoding import Transcoding
from edge.protocols.websocket.closing import ServiceRestart, UnsupportedFrame, close_code, close_reason
from edge.protocols.websocket.websocket_reply_writer import SWITCHING, WebSocketReplyWriter
from mesh.errors import (
    Cancelled,
    DeadlineExceeded,
    FieldViolation,
    InvalidArgument,
    MeshError,
    Metadata,
    invalid_fields,
)

_END_OF_MESSAGES: Final = ""


class WebSocketEndpoint:
    """The WebSocket endpoint of one route of a streaming method."""

    def __init__(self, route: Route, rpc: Rpc, transcoding: Transcoding, limits: StreamLimits) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is invalid."""
        self.limits = limits
        self.system_parameters = SystemParameterReader(route.method.desc.input)
        self.reader = RequestReader(route, transcoding, limits)
        self.format = StreamFormat(route, transcoding.messages, transcoding.style)
        self._driver = CallDriver(rpc, route.template.text)

    async def serve(self, request: Request, values: tuple[str, ...], writer: WebSocketReplyWriter) -> None:
        """Serves a handshake and the stream after it. `values` are those of the path's variables. Raises MeshError if
        the handshake is rejected.
        """
        writer.binary = self.format.is_file
        await self._driver.stream(_Exchange(self, request, values, writer), request, writer)


class _Exchange(StreamExchange):
    opens_after_s = 0

    def __init__(
        self, endpoint: WebSocketEndpoint, request: Request, values: tuple[str, ...], writer: WebSocketReplyWriter
    ) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._request = request
        self._values = values
        self._writer = writer
        self._has_all_requests = asyncio.Event()

    def read_head(self) -> None:
        wanted, query = self._endpoint.system_parameters.take(self._request.query)
        if wanted.alt not in ("", "json"):
            raise invalid_fields((FieldViolation(ALT, "can only be json on a WebSocket", "INVALID_VALUE"),))
        self._options = self._endpoint.format.writer.options(wanted)
        self._messages = RequestMessages(self._endpoint.reader, self._request, self._values, query)

    async def requests(self) -> AsyncGenerator[bytes, None]:
        if self._endpoint.reader.takes_body:
            self._messages.check_url()
            return self._from_frames()
        return self._from_url(self._messages.bind_only(self._request, b""))

    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        return SWITCHING, []

    async def message(self, content: bytes) -> bytes:
        message = self._endpoint.format.read(content)
        if not self._endpoint.format.is_file:
            return self._endpoint.format.text(message, self._options)
        body = self._endpoint.format.http_body(message)
        return bytes(body.data) if body is not None else b""

    def end(self, trailers: Headers) -> bytes:
        return b""

    def from_service(self, error: MeshError) -> MeshError:
        return self._messages.with_client_path(error)

    async def fail(self, error: MeshError, writer: StreamReplyWriter) -> None:
        """Sends the whole error in a frame, because it does not fit into the close frame, and then the close frame."""
        if not writer.started:
            raise error
        self._request.record.code = error.code.name
        with contextlib.suppress(Cancelled):
            await self._writer.write_text(render(error, self._endpoint.format.registry)[2])
            await self._writer.close(close_code(error), close_reason(error))

    def stopped(self) -> MeshError:
        return ServiceRestart("The server is stopping; open the stream again.", reason="SHUTTING_DOWN", retry_after_s=1)

    @contextlib.contextmanager
    def watching(self, stop: Callable[[MeshError], None]) -> Iterator[None]:
        """Returns a context in which a message after the end of the messages ends the call."""
        watching = asyncio.create_task(self._watch(stop), name="after the last message")
        try:
            yield
        finally:
            watching.cancel()

    async def _from_url(self, message: bytes) -> AsyncGenerator[bytes, None]:
        yield message
        self._has_all_requests.set()

    async def _from_frames(self) -> AsyncGenerator[bytes, None]:
        """Yields the messages of the client until it ends them."""
        messages = self._messages
        if not self._endpoint.reader.is_stream:
            body = await self._next() or b""
            yield await worker_thread.run(len(body), messages.bind_only, self._request, body)
        else:
            while (content := await self._next()) is not None:
                if self._endpoint.reader.is_file:
                    yield messages.bind_piece(self._request, content)
                else:
                    yield await worker_thread.run(len(content), messages.bind, content)
        self._has_all_requests.set()

    async def _next(self) -> bytes | None:
        """Returns the content of the next frame, None for the end of the messages. Raises MeshError if the frame is of
        the wrong kind or does not arrive in time.
        """
        limits = self._endpoint.limits
        try:
            event = await self.idle_timer.receive(self._request.receive, limits.idle_s)
        except TimeoutError:
            text = f"The client sent nothing for {limits.idle_s:g} s and did not end its messages."
            raise DeadlineExceeded(text, reason="STREAM_IDLE") from None
        return self._checked(event)

    def _checked(self, event: MutableMapping[str, Any]) -> bytes | None:
        if event["type"] == "websocket.disconnect":
            raise Cancelled("The client has disconnected.")
        text, record = event.get("text"), self._request.record
        content: bytes = event["bytes"] if text is None else text.encode()
        record.request_bytes += len(content)
        if record.request_bytes > self._endpoint.limits.bytes_max:
            raise body_too_large(self._endpoint.limits.bytes_max)
        if text == _END_OF_MESSAGES:
            return None
        if self._endpoint.reader.is_file is not (text is None):
            raise UnsupportedFrame(f"This stream takes {'binary' if self._endpoint.reader.is_file else 'text'} frames.")
        return content

    async def _watch(self, stop: Callable[[MeshError], None]) -> None:
        await self._has_all_requests.wait()
        while (event := await self._request.receive())["type"] == "websocket.receive":
            if event.get("text") != _END_OF_MESSAGES:
                stop(
                    InvalidArgument(
                        "The client sent a message after the end of its messages.", reason="TOO_MANY_MESSAGES"
                    )
                )
                return
