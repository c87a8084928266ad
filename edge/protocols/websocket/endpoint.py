"""One route's calls of a method that streams, of any kind, over WebSocket.

- A text frame is a JSON message, the route's body; a binary frame is a piece of a file (google.api.HttpBody).
- An empty text frame says that the client sends no more messages; it is no JSON, and so can't be one itself.
- A method that takes one message has it from the first frame, or from the URL alone if its rule has no body.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, Final

from edge.bind.system_parameters import ALT, NONE_GIVEN, SystemParameterReader
from edge.call import large_work
from edge.call.response_reader import Ended, ResponseReader
from edge.call.rpc import Admission, Rpc
from edge.contract.http_body import HTTP_BODY, inner_type, raw_type
from edge.contract.route import Route
from edge.http.access_record import AccessRecord
from edge.http.errors import HttpError
from edge.http.request import Receive, Request
from edge.http.stream_limits import StreamLimits
from edge.protocols.rest.incoming import Incoming, Messages
from edge.protocols.rest.outgoing import Outgoing
from edge.protocols.rest.transcoding import Transcoding
from edge.protocols.websocket.closing import Restart, WrongFrame
from edge.reply.response_writer import Form
from mesh.errors import Cancelled, DeadlineExceeded, FieldViolation, InvalidArgument, MeshError, invalid_fields

_NO_MORE: Final = ""


class SocketEndpoint:
    """Serves one route of a method that streams."""

    def __init__(self, route: Route, rpc: Rpc, transcoding: Transcoding, limits: StreamLimits) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is wrong."""
        self.rpc = rpc
        self.limits = limits
        self.incoming = Incoming(route, transcoding, limits)
        self.takes_file = raw_type(route) is not None
        self.gives_file = inner_type(route.method.desc.output, route.response_body) == HTTP_BODY
        self.outgoing = Outgoing(route, transcoding.registry, transcoding.style, is_file=self.gives_file)
        self._template = route.template.text
        self._system_parameters = SystemParameterReader(route.method.desc.input)

    async def open(
        self, request: Request, values: tuple[str, ...], receive: Receive, record: AccessRecord
    ) -> "Exchange":
        """Decides on a call whose path has these values, before the WebSocket is open. Raises MeshError."""
        self.rpc.tell(record, self._template)
        wanted, query = self._system_parameters.take(request.query) if request.query else (NONE_GIVEN, b"")
        if wanted.alt not in ("", "json"):
            raise invalid_fields((FieldViolation(ALT, "can only be json on a WebSocket", "INVALID_VALUE"),))
        form = self.outgoing.writer.form(wanted)
        admission = await self.rpc.admit(request, record)
        messages = self.incoming.messages(request, values, query)
        if self.incoming.takes_body:
            self.incoming.binder.check_url(values, query)
            first = None
        else:
            first = messages.bind_only(request, b"")
        return Exchange(self, request, admission, messages, first, form, receive, record)


class Exchange:
    """One call."""

    def __init__(
        self,
        endpoint: SocketEndpoint,
        request: Request,
        admission: Admission,
        messages: Messages,
        first: bytes | None,
        form: Form,
        receive: Receive,
        record: AccessRecord,
    ) -> None:
        """`first` is the message that the URL is, None if the messages are in frames."""
        self.admission = admission
        self._endpoint = endpoint
        self._request = request
        self._messages = messages
        self._form = form
        self._receive = receive
        self._record = record
        self._has_sent_all = asyncio.Event()
        messages.set_source(self._requests(first))

    async def frames(self) -> AsyncGenerator[str | bytes, None]:
        """The frames of the responses. Raises MeshError with what the call ended with, unless it ended well."""
        rpc, messages = self._endpoint.rpc, self._messages
        try:
            async with (
                rpc.stream(self.admission, messages) as responses,
                ResponseReader(responses, messages.activity) as feed,
            ):
                with self._request.connection.draining(partial(feed.stop, _restart())), self._watched(feed):
                    while True:
                        try:
                            content = await feed.next()
                        except Ended:
                            return
                        if content is not None:
                            yield self._frame(content)
        except MeshError as error:
            messages.as_client_writes(error)
            raise

    def _frame(self, content: bytes) -> str | bytes:
        outgoing = self._endpoint.outgoing
        response = outgoing.read(content)
        if not self._endpoint.gives_file:
            return outgoing.text(response, self._form).decode()
        body = outgoing.http_body(response)
        return bytes(body.data) if body is not None else b""

    async def _requests(self, first: bytes | None) -> AsyncGenerator[bytes, None]:
        """The messages of the client, until it says that there are no more."""
        incoming = self._endpoint.incoming
        if first is not None:
            yield first
        elif not incoming.is_stream:
            content = _content(await self._next())
            yield await large_work.run(len(content), partial(self._messages.bind_only, self._request, content))
        else:
            while (frame := await self._next()) != _NO_MORE:
                if isinstance(frame, bytes):
                    yield self._messages.bind_piece(self._request, frame)
                else:
                    yield await large_work.run(len(frame), partial(self._messages.bind, _content(frame)))
        self._has_sent_all.set()

    async def _next(self) -> str | bytes:
        """The next frame. A client may be silent for as long as the service is not."""
        limits, activity = self._endpoint.limits, self._messages.activity
        while True:
            try:
                async with asyncio.timeout(activity.patience_s(limits.idle_s)):
                    event = await self._receive()
            except TimeoutError:
                if activity.patience_s(limits.idle_s) > 0:
                    continue
                text = f"Nothing was said for {limits.idle_s:g} s, and no end of the messages."
                raise DeadlineExceeded(text, reason="STREAM_IDLE") from None
            activity.note()
            return self._checked(event)

    def _checked(self, event: Any) -> str | bytes:
        """The frame of an event, if it is of the kind that the stream takes."""
        if event["type"] == "websocket.disconnect":
            raise Cancelled("The client has gone.")
        text, data = event.get("text"), event.get("bytes")
        self._record.request_bytes += len(text) if text is not None else len(data)
        if self._record.request_bytes > self._endpoint.limits.bytes_max:
            limit = self._endpoint.limits.bytes_max
            raise HttpError(413, f"The stream is larger than {limit} bytes.", "BODY_TOO_LARGE")
        if text == _NO_MORE:
            return _NO_MORE
        frame: str | bytes | None = data if self._endpoint.takes_file else text
        if frame is None:
            raise WrongFrame(f"This stream takes {'binary' if self._endpoint.takes_file else 'text'} frames.")
        return frame

    @contextlib.contextmanager
    def _watched(self, feed: ResponseReader) -> Any:
        """While this is entered, a message after the last one ends the call."""
        watching = asyncio.create_task(self._watch(feed), name="after the last message")
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self, feed: ResponseReader) -> None:
        await self._has_sent_all.wait()
        while (event := await self._receive())["type"] == "websocket.receive":
            if event.get("text") != _NO_MORE:
                feed.stop(InvalidArgument("There is a message after the last one.", reason="TOO_MANY_MESSAGES"))
                return


def _content(frame: str | bytes) -> bytes:
    return frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass")


def _restart() -> Restart:
    return Restart("The server stops; open the stream again.", reason="SHUTTING_DOWN", retry_after_s=1)
