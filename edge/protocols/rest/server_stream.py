"""Server-streaming and bidirectional methods."""

from collections.abc import AsyncGenerator

from edge.bind.system_parameters import SystemParameterReader
from edge.call.rpc import Rpc
from edge.contract.route import Route
from edge.http.errors import HttpError
from edge.http.headers import Headers
from edge.http.reply_writer import ReplyWriter
from edge.http.request import Request
from edge.http.stream_limits import StreamLimits
from edge.protocols.driver import CallDriver
from edge.protocols.exchange import StreamExchange, StreamReplyWriter
from edge.protocols.rest.request_reader import RequestMessages, RequestReader
from edge.protocols.rest.stream_writer import FileWriter, StreamFormat, range_metadata
from edge.protocols.rest.transcoding import Transcoding
from mesh.errors import Code, MeshError, Metadata


class ServerStreamEndpoint:
    """The endpoint of one route of a server-streaming or bidirectional method."""

    def __init__(self, route: Route, rpc: Rpc, transcoding: Transcoding, limits: StreamLimits) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is invalid."""
        self.name = route.method.name
        self.limits = limits
        self.system_parameters = SystemParameterReader(route.method.desc.input)
        self.reader = RequestReader(route, transcoding, limits)
        self.format = StreamFormat(route, transcoding.messages, transcoding.style)
        self._driver = CallDriver(rpc, route.template.text)

    async def serve(self, request: Request, values: tuple[str, ...], writer: ReplyWriter) -> None:
        """Answers a request. `values` are those of the path's variables. Raises MeshError."""
        await self._driver.stream(_Exchange(self, request, values), request, writer)


class _Exchange(StreamExchange):
    def __init__(self, endpoint: ServerStreamEndpoint, request: Request, values: tuple[str, ...]) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._request = request
        self._values = values
        self._range: Metadata = ()

    def read_head(self) -> None:
        wanted, query = self._endpoint.system_parameters.take(self._request.query)
        self._writer = self._endpoint.format.writer_for(self._request, wanted)
        self._messages = RequestMessages(self._endpoint.reader, self._request, self._values, query)
        self.heartbeat = self._writer.heartbeat
        if self._writer.opens_early:
            self.opens_after_s = self._endpoint.limits.open_s
        if self.heartbeat:
            self.heartbeat_s = self._endpoint.limits.heartbeat_s or None

    def metadata(self) -> Metadata:
        self._range = range_metadata(self._request) if isinstance(self._writer, FileWriter) else ()
        return self._range

    async def requests(self) -> AsyncGenerator[bytes, None]:
        return await self._endpoint.reader.read(self._messages, self._request, self.idle_timer)

    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        return self._writer.head(metadata)

    async def message(self, content: bytes) -> bytes:
        return self._writer.message(content)

    def end(self, trailers: Headers) -> bytes:
        return self._writer.end()

    def from_service(self, error: MeshError) -> MeshError:
        return self._messages.with_client_path(error)

    async def fail(self, error: MeshError, writer: StreamReplyWriter) -> None:
        """Ends the response with the error in its own syntax. Aborts the connection if the syntax has no place for an
        error, because nothing else shows that the response is incomplete.
        """
        if not writer.started:
            raise self._as_http_error(error)
        self._request.record.code = error.code.name
        piece = self._writer.error(error)
        if piece is None:
            await self._request.connection.abort()  # does not return
        await writer.write(piece)

    def _as_http_error(self, error: MeshError) -> MeshError:
        """Returns HttpError 416 for a range that a file does not have (RFC 9110, section 15.5.17), or else the
        error.
        """
        if "range" not in dict(self._range) or error.code is not Code.OUT_OF_RANGE:
            return error
        given = {**dict(error.initial_metadata), **dict(error.trailing_metadata)}.get("content-range")
        headers = [(b"content-range", given.encode())] if isinstance(given, str) else []
        return HttpError(416, error.message, error.reason or "RANGE_NOT_SATISFIABLE", headers)
