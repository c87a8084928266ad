"""The messages of a response as the client reads them: JSON in one of the syntaxes, or the bytes of a file."""

import base64
import re
from typing import Any, Final, Protocol

import structlog
from protobuf import Message, Registry

from edge.bind.system_parameters import ALT, PROTO, SystemParameters
from edge.call.metadata import metadata_text
from edge.contract.resume_token import LAST_EVENT_ID, ResumeToken
from edge.contract.route import Route
from edge.http.errors import HttpError, render
from edge.http.headers import Headers
from edge.http.request import Request
from edge.protocols.rest.syntax import EVENTS, Lines, Syntax, choose, in_one_line
from edge.reply.cache_control import cache_control
from edge.reply.replies import content_headers
from edge.reply.response_writer import JsonStyle, ResponseOptions, ResponseWriter
from mesh.errors import FieldViolation, MeshError, Metadata, invalid_fields

log = structlog.get_logger()

# The metadata that describe a file: RFC 9110, section 8, and section 14 on ranges; RFC 6266.
_OF_FILES: Final = frozenset(
    {
        *("accept-ranges", "cache-control", "content-disposition", "content-language", "content-range", "etag"),
        *("expires", "last-modified"),
    }
)
_PARTIAL = re.compile(r"bytes [0-9]+-[0-9]+/(?:[0-9]+|\*)")

_RANGE_HEADERS: Final = ("range", "if-range")


def range_metadata(request: Request) -> Metadata:
    """What a client says about the part of a file that it wants, for the service, which knows the file. Raises
    InvalidArgument for what can't be metadata.
    """
    headers = request.headers
    return [(name, metadata_text(name, value)) for name in _RANGE_HEADERS if (value := headers.get(name.encode()))]


class StreamWriter(Protocol):
    """Writes one response. `opens_early` and `heartbeat` are those of its syntax."""

    opens_early: bool
    heartbeat: bytes

    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        """The status and the headers, when the first message has been written, or nobody waits for it any longer."""

    def message(self, content: bytes) -> bytes:
        """A message. Raises HttpError 502 if the service sent something that is none."""

    def error(self, error: MeshError) -> bytes | None:
        """What tells of the error after the head is out, None if nothing can."""

    def end(self) -> bytes:
        """What ends a response that ended well."""


class StreamFormat:
    """How the responses of one route of a method that streams them are written."""

    def __init__(self, route: Route, registry: Registry, style: JsonStyle, *, is_file: bool) -> None:
        """`is_file` says that messages are google.api.HttpBody."""
        self.name = route.method.name
        self.output = route.method.desc.output
        self.field = route.response_body
        self.registry = registry
        self.status = route.method.policy.http_status
        self.resume_token = ResumeToken.of(self.output)
        self.writer = ResponseWriter(self.output, self.field, registry, style)
        self._is_file = is_file
        is_read = route.http_method == "GET"
        cache = cache_control(route.method.policy, is_read=is_read) if route.method.policy.cache_s is not None else b""
        self.cache_control = cache or b"no-store"
        # The syntax is chosen by the one, where to go on by the other.
        resumes = ResumeToken.of(route.method.desc.input) is not None
        self.vary = b"accept, " + LAST_EVENT_ID if resumes else b"accept"

    def writer_for(self, request: Request, wanted: SystemParameters) -> StreamWriter:
        """Returns the writer of a response the way that its client wants it. Raises HttpError 406 or InvalidArgument if
        there is none such.
        """
        if wanted.alt == PROTO or (wanted.alt == "media" and not self._is_file):
            what = "answers a stream" if wanted.alt == PROTO else "is no download"
            problem = FieldViolation(ALT, f"can't be {wanted.alt}: this method {what}", "INVALID_VALUE")
            raise invalid_fields((problem,))
        if self._is_file and wanted.alt in ("", "media"):
            return FileWriter(self)
        syntax = choose(request.headers.get(b"accept", b""), wanted.alt)
        return JsonWriter(self, syntax, self.writer.options(wanted))

    def read(self, content: bytes) -> Message:
        """A message of the service. Raises HttpError 502 if it is none."""
        try:
            return self.output.type.from_binary(content)
        except (ValueError, EOFError, RecursionError, OverflowError) as error:
            raise self.improper(error) from error

    def text(self, response: Message, options: ResponseOptions) -> bytes:
        """A message as JSON. Raises HttpError 502 if it has none."""
        try:
            return self.writer.write(response, options)
        except (ValueError, RecursionError, OverflowError) as error:
            raise self.improper(error) from error

    def http_body(self, response: Message) -> Any:
        """The google.api.HttpBody of a message, None if it has none."""
        return response if self.field is None else response[self.field]

    def improper(self, why: Exception) -> HttpError:
        """What is said of a message that can't be passed on."""
        log.error("a service sent an invalid response message", rpc=self.name, exc_info=why)
        return HttpError(502, "The service sent an invalid response.", "BAD_RESPONSE")


class JsonWriter:
    """Writes a response as JSON messages."""

    def __init__(self, stream_format: StreamFormat, syntax: Syntax, options: ResponseOptions) -> None:
        self._format = stream_format
        self._syntax = syntax
        self._options = options
        self._in_lines = isinstance(syntax, Lines)
        self.opens_early = syntax.opens_early
        self.heartbeat = syntax.heartbeat

    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        """The type; and that nobody on the way may hold messages back."""
        headers: Headers = [(b"content-type", self._syntax.media_type.encode())]
        headers += [(b"cache-control", self._format.cache_control), (b"vary", self._format.vary)]
        if self._syntax.media_type == EVENTS:
            headers.append((b"x-accel-buffering", b"no"))
        return self._format.status, headers

    def message(self, content: bytes) -> bytes:
        """The message in the syntax."""
        response = self._format.read(content)
        text = self._format.text(response, self._options)
        resume_token = self._format.resume_token
        event_id = resume_token.event_id(response) if resume_token is not None else None
        return self._syntax.message(in_one_line(text) if self._in_lines else text, event_id)

    def error(self, error: MeshError) -> bytes:
        """The error in the syntax."""
        return self._syntax.error(render(error, self._format.registry)[2], error.retry_after_s)

    def end(self) -> bytes:
        """The end in the syntax."""
        return self._syntax.end()


class FileWriter:
    """Writes a response as the bytes of the google.api.HttpBody messages, one after the other."""

    opens_early = False
    heartbeat = b""

    def __init__(self, stream_format: StreamFormat) -> None:
        self._format = stream_format
        self._content_type: str | None = None

    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        """The type of the first message, and what the service's metadata say of the file. One that gives a range of
        bytes makes this a part (RFC 9110, section 15.3.7).
        """
        headers = content_headers(self._content_type or "")
        status = self._format.status
        for name, value in metadata:
            if name in _OF_FILES:
                text = base64.b64encode(value) if isinstance(value, bytes) else value.encode("latin-1", "replace")
                headers.append((name.encode(), text))
                if name == "content-range" and isinstance(value, str) and _PARTIAL.fullmatch(value):
                    status = 206
        if not any(name == b"cache-control" for name, _ in headers):
            headers.append((b"cache-control", self._format.cache_control))
        return status, headers

    def message(self, content: bytes) -> bytes:
        """The bytes of the message."""
        body = self._format.http_body(self._format.read(content))
        if self._content_type is None:
            self._content_type = body.content_type if body is not None else ""
        data: bytes = body.data if body is not None else b""
        return data

    def error(self, error: MeshError) -> None:
        """There is no place for it among the bytes of a file."""
        return

    def end(self) -> bytes:
        """Nothing."""
        return b""
