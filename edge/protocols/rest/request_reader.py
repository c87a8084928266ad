"""The messages in the requests of streaming methods: a single one, a stream in JSON, or the pieces of a file."""

import contextlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import Final

from edge.bind.binder import Binder
from edge.contract.http_body import http_body_type
from edge.contract.route import Route
from edge.http import worker_thread
from edge.http.body_stream import body_stream
from edge.http.content_type import unsupported_media_type
from edge.http.errors import HttpError
from edge.http.held_bytes import HeldByteCounter
from edge.http.idle_timer import IdleTimer
from edge.http.request import JSON, Request
from edge.http.small_pieces import small_pieces
from edge.http.stream_limits import StreamLimits
from edge.http.whole_body import read_body
from edge.protocols.rest.stream_splitters import ArraySplitter, LineSplitter, Splitter
from edge.protocols.rest.transcoding import Transcoding
from edge.protojson.parser import MalformedJson
from edge.protojson.violations import BODY
from mesh.errors import FieldViolation, InvalidArgument, MeshError

NDJSON_TYPES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")


class RequestReader:
    """The reader of one route's requests."""

    def __init__(self, route: Route, transcoding: Transcoding, limits: StreamLimits) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is invalid."""
        self.is_stream = route.method.desc.method_kind in ("client_streaming", "bidi_streaming")
        self.takes_body = route.whole_body or route.body is not None
        self._body_limits = transcoding.body_limits(route.method)
        self.limits = replace(limits, message_bytes_max=self._body_limits.size_bytes_max)
        self.binder = Binder(route, transcoding.readers, transcoding.validator)
        self._depth_max = transcoding.readers.depth_max
        self.is_file = http_body_type(route) is not None
        """Whether the messages of a stream are the pieces of a file."""

    async def read(
        self, messages: "RequestMessages", request: Request, idle_timer: IdleTimer
    ) -> AsyncGenerator[bytes, None]:
        """Returns the messages of a request over HTTP. Raises InvalidArgument or HttpError at once if the URL is
        invalid, or the message of a method that takes one; those of a stream raise when they are read.
        """
        if not self.is_stream:
            content = await read_body(request, self._body_limits)
            return _one(await worker_thread.run(len(content), messages.bind_only, request, content))
        messages.check_url()
        body = body_stream(request, self.limits, idle_timer)
        if self.is_file:
            return _of_file(request, body, messages)
        return _of_json(self._splitter(request), body, messages, request.held)

    def _splitter(self, request: Request) -> Splitter:
        media_type = request.media_type()
        if media_type in NDJSON_TYPES:
            return LineSplitter(self.limits.message_bytes_max)
        if media_type in ("", JSON):
            return ArraySplitter(self.limits.message_bytes_max, self._depth_max)
        wanted = f"a JSON array, {JSON}, or JSON in lines, {NDJSON_TYPES[0]}"
        raise unsupported_media_type(request, (JSON, NDJSON_TYPES[0]), wanted)


class RequestMessages:
    """The messages of one request."""

    def __init__(self, reader: RequestReader, request: Request, values: tuple[str, ...], query: bytes) -> None:
        """`values` are those of the path's variables, `query` is the query without system parameters."""
        self.count = 0
        self.has_url_values = bool(values or query)
        self._reader = reader
        self._values = values
        self._query = query
        # Each message is JSON, whatever the type of the whole body; and only the first piece of a file has its type.
        untyped = {name: value for name, value in request.headers.items() if name != b"content-type"}
        self._untyped = replace(request, headers=untyped)
        self._proto_names: set[str] = set()

    def check_url(self) -> None:
        """Raises InvalidArgument if the URL is invalid, before there is a message."""
        self._reader.binder.check_url(self._values, self._query)

    def bind_only(self, request: Request, content: bytes) -> bytes:
        """Returns the single message, from a body of the request's media type."""
        message, self._proto_names = self._reader.binder.bind(request, self._values, self._query, content)
        return message

    def bind_piece(self, request: Request, content: bytes) -> bytes:
        """Returns the next message, from a piece of a file. The first also holds the values of the URL and headers."""
        if not self.count:
            message = self.bind_only(request, content)
        else:
            message, _ = self._reader.binder.bind_next(self._untyped, content)
        self.count += 1
        return message

    def bind(self, content: bytes) -> bytes:
        """Returns the next message, from its JSON. The first also holds the values of the URL and headers. Raises
        InvalidArgument with the index of the message in the paths of fields, HttpError 413 if there are too many.
        """
        limits, binder = self._reader.limits, self._reader.binder
        if self.count >= limits.messages_max:
            text = f"The stream has more than {limits.messages_max} messages."
            raise HttpError(413, text, "TOO_MANY_MESSAGES", metadata={"limit_messages": str(limits.messages_max)})
        try:
            if self.count:
                message, proto_names = binder.bind_next(self._untyped, content)
            else:
                message, proto_names = binder.bind(self._untyped, self._values, self._query, content)
        except InvalidArgument as error:
            raise _at_index(error, self.count) from None
        self.count += 1
        self._proto_names |= proto_names
        return message

    def with_index(self, contents: Iterator[bytes]) -> Iterator[bytes]:
        """Yields the messages of a splitter. Raises InvalidArgument with the index of a malformed message."""
        try:
            yield from contents
        except MalformedJson as error:
            violation = FieldViolation(BODY, str(error), "MALFORMED_JSON")
            malformed = InvalidArgument(str(error), reason="MALFORMED_JSON", violations=[violation])
            raise _at_index(malformed, self.count) from error

    def with_client_path(self, error: MeshError) -> MeshError:
        """Returns a service's error with the fields' names in the client's spelling."""
        return self._reader.binder.paths.show(error, self._proto_names)


async def _of_json(
    splitter: Splitter, body: AsyncGenerator[bytes, None], messages: RequestMessages, held: HeldByteCounter
) -> AsyncGenerator[bytes, None]:
    is_empty = True
    async with contextlib.aclosing(small_pieces(body)) as pieces:
        async for piece in pieces:
            is_empty = False
            for content in messages.with_index(splitter.feed(piece)):
                yield await worker_thread.run(len(content), messages.bind, content)
            held.set(splitter.held_bytes)
    if not is_empty:
        for content in messages.with_index(splitter.end()):
            yield await worker_thread.run(len(content), messages.bind, content)
    elif messages.has_url_values:
        # As with other methods, a request without a body has one message, with the values of the URL.
        yield messages.bind(b"")


async def _of_file(
    request: Request, body: AsyncGenerator[bytes, None], messages: RequestMessages
) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(body):
        async for piece in body:
            yield messages.bind_piece(request, piece)
    if not messages.count:
        yield messages.bind_piece(request, b"")


async def _one(message: bytes) -> AsyncGenerator[bytes, None]:
    yield message


def _at_index(error: InvalidArgument, index: int) -> InvalidArgument:
    """Returns the error with the index of the message before the paths of its fields."""
    violations = [
        FieldViolation(_path_at(index, violation.field), violation.description, violation.reason)
        for violation in error.violations
    ]
    return InvalidArgument(f"Message {index}: {error.message}", reason=error.reason, violations=violations)


def _path_at(index: int, path: str) -> str:
    if path == BODY:
        return f"[{index}]"
    return f"[{index}]{path}" if path.startswith("[") else f"[{index}].{path}"
