"""The writers of streamed responses: JSON in one of the syntaxes, or the bytes of a file."""

import base64
import re
from typing import Any, Final, Protocol

from protobuf import Message

from edge.bind.system_parameters import ALT, PROTO, SystemParameters
from edge.call.metadata import metadata_text
from edge.contract.http_body import returns_http_body
from edge.contract.resume_token import LAST_EVENT_ID, ResumeToken
from edge.contract.route import Route
from edge.http.errors import render
from edge.http.headers import Headers
from edge.http.invalid_response import invalid_response
from edge.http.request import Request
from edge.protocols.rest.stream_syntax import EVENTS, Syntax, choose_syntax
from edge.protojson.writer import DECODE_ERRORS, MessageWriter
from edge.reply.cache_control import cache_control
from edge.reply.replies import content_headers
from edge.reply.response_writer import JsonStyle, ResponseOptions, ResponseWriter
from mesh.errors import FieldViolation, MeshError, Metadata, invalid_fields

# The metadata that describes a file: RFC 9110, sections 8 and 14; RFC 6266.
_FILE_HEADERS: Final = frozenset(
    {
        *("accept-ranges", "cache-control", "content-disposition", "content-language", "content-range", "etag"),
        *("expires", "last-modified"),
    }
)
_PARTIAL = re.compile(r"bytes [0-9]+-[0-9]+/(?:[0-9]+|\*)")

_RANGE_HEADERS: Final = ("range", "if-range")


def range_metadata(request: Request) -> Metadata:
    """Returns the headers that select a part of a file, as metadata for the service, which knows the file. Only a GET
    has parts (RFC 9110, section 14.2). Raises InvalidArgument for a value that can't be metadata.
    """
    if request.method != "GET":
        return ()
    headers = request.headers
    return [(name, metadata_text(name, value)) for name in _RANGE_HEADERS if (value := headers.get(name.encode()))]


class StreamWriter(Protocol):
    """The writer of one response. `opens_early` and `heartbeat` are those of its syntax."""

    opens_early: bool
    heartbeat: bytes

    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        """Returns the status and the headers. `metadata` is empty if the response starts before the first message."""

    def message(self, content: bytes) -> bytes:
        """Returns a message as the client reads it. Raises HttpError 502 if the service sent an invalid one."""

    def error(self, error: MeshError) -> bytes | None:
        """Returns the error that ends a response that has started, None if the syntax has no place for one."""

    def end(self) -> bytes:
        """Returns the end of a successful response."""


class StreamFormat:
    """The format of one route's streamed responses."""

    def __init__(self, route: Route, messages: MessageWriter, style: JsonStyle) -> None:
        self.name = route.method.name
        self.output = route.method.desc.output
        self.field = route.response_body
        self.registry = messages.registry
        self.status = route.method.policy.http_status
        self.resume_token = ResumeToken.of(self.output)
        self.writer = ResponseWriter(self.output, self.field, messages, style)
        self.is_file = returns_http_body(route)
        """Whether the responses are the pieces of a file."""
        is_read = route.http_method == "GET"
        cache = cache_control(route.method.policy, is_read=is_read) if route.method.policy.cache_s is not None else b""
        self.cache_control = cache or b"no-store"
        # Accept selects the syntax, Last-Event-ID the message to resume after.
        resumes = ResumeToken.of(route.method.desc.input) is not None
        self.vary = b"accept, " + LAST_EVENT_ID if resumes else b"accept"

    def writer_for(self, request: Request, wanted: SystemParameters) -> StreamWriter:
        """Returns a writer in the syntax that the client wants. Raises HttpError 406 or InvalidArgument if the route
        has no such syntax.
        """
        if wanted.alt == PROTO or (wanted.alt == "media" and not self.is_file):
            why = "streams its responses" if wanted.alt == PROTO else "does not return a file"
            problem = FieldViolation(ALT, f"can't be {wanted.alt}: this method {why}", "INVALID_VALUE")
            raise invalid_fields((problem,))
        if self.is_file and wanted.alt in ("", "media"):
            return FileWriter(self)
        syntax = choose_syntax(request.headers.get(b"accept", b""), wanted.alt)
        return JsonWriter(self, syntax, self.writer.options(wanted))

    def read(self, content: bytes) -> Message:
        """Parses a message of the service. Raises HttpError 502 if it is invalid."""
        try:
            return self.output.type.from_binary(content)
        except DECODE_ERRORS as error:
            raise invalid_response(self.name, error) from error

    def text(self, response: Message, options: ResponseOptions) -> bytes:
        """Returns a message as JSON. Raises HttpError 502 if it has no JSON."""
        try:
            return self.writer.write(response, options)
        except DECODE_ERRORS as error:
            raise invalid_response(self.name, error) from error

    def http_body(self, response: Message) -> Any:
        """Returns the google.api.HttpBody of a message, None if it has none."""
        return response if self.field is None else response[self.field]


class JsonWriter:
    """The writer of JSON messages."""

    def __init__(self, stream_format: StreamFormat, syntax: Syntax, options: ResponseOptions) -> None:
        self._format = stream_format
        self._syntax = syntax
        self._options = options
        self.opens_early = syntax.opens_early
        self.heartbeat = syntax.heartbeat

    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        """Returns the status and the headers, among them one that keeps proxies from buffering events."""
        headers: Headers = [(b"content-type", self._syntax.media_type.encode())]
        headers += [(b"cache-control", self._format.cache_control), (b"vary", self._format.vary)]
        if self._syntax.media_type == EVENTS:
            headers.append((b"x-accel-buffering", b"no"))
        return self._format.status, headers

    def message(self, content: bytes) -> bytes:
        """Returns the message in the syntax."""
        response = self._format.read(content)
        text = self._format.text(response, self._options)
        resume_token = self._format.resume_token
        event_id = resume_token.event_id(response) if resume_token is not None else None
        return self._syntax.message(text, event_id)

    def error(self, error: MeshError) -> bytes:
        """Returns the error in the syntax."""
        return self._syntax.error(render(error, self._format.registry)[2], error.retry_after_s)

    def end(self) -> bytes:
        """Returns the end in the syntax."""
        return self._syntax.end()


class FileWriter:
    """The writer of files, which writes the bytes of google.api.HttpBody messages one after the other."""

    opens_early = False
    heartbeat = b""

    def __init__(self, stream_format: StreamFormat) -> None:
        self._format = stream_format
        self._content_type: str | None = None

    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        """Returns the type of the first message, and the headers of the file from the service's metadata. The status is
        206 if the metadata has a range of bytes (RFC 9110, section 15.3.7).
        """
        headers = content_headers(self._content_type or "")
        status = self._format.status
        for name, value in metadata:
            if name in _FILE_HEADERS:
                text = base64.b64encode(value) if isinstance(value, bytes) else value.encode("latin-1", "replace")
                headers.append((name.encode(), text))
                if name == "content-range" and isinstance(value, str) and _PARTIAL.fullmatch(value):
                    status = 206
        if not any(name == b"cache-control" for name, _ in headers):
            headers.append((b"cache-control", self._format.cache_control))
        return status, headers

    def message(self, content: bytes) -> bytes:
        """Returns the bytes of the message."""
        body = self._format.http_body(self._format.read(content))
        if self._content_type is None:
            self._content_type = body.content_type if body is not None else ""
        data: bytes = body.data if body is not None else b""
        return data

    def error(self, error: MeshError) -> None:
        """Returns None, because the bytes of a file have no place for an error."""
        return

    def end(self) -> bytes:
        """Returns no bytes."""
        return b""
