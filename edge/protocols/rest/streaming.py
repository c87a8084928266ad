"""One route's calls of a method that streams, over HTTP."""

import contextlib
from collections.abc import AsyncGenerator
from functools import partial

import structlog

from edge.bind.system_parameters import NONE_GIVEN, SystemParameterReader
from edge.call.response_reader import Ended, ResponseReader
from edge.call.rpc import Admission, Rpc
from edge.call.upstream import Responses
from edge.contract.http_body import HTTP_BODY, inner_type
from edge.contract.route import Route
from edge.http.access_record import AccessRecord
from edge.http.draining import shutting_down
from edge.http.errors import HttpError
from edge.http.reply import Reply
from edge.http.request import Receive, Request
from edge.http.stream_limits import StreamLimits
from edge.protocols.rest.incoming import Incoming, Messages
from edge.protocols.rest.outgoing import Outgoing, Writing, range_metadata
from edge.protocols.rest.transcoding import Transcoding
from edge.reply.replies import Replies
from mesh.errors import Code, Internal, MeshError, Metadata

log = structlog.get_logger()


class CollectingEndpoint:
    """Serves one route of a method that takes many messages and answers one."""

    def __init__(self, route: Route, rpc: Rpc, transcoding: Transcoding, limits: StreamLimits) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is wrong."""
        self.name = route.method.name
        self._template = route.template.text
        self._rpc = rpc
        self._system_parameters = SystemParameterReader(route.method.desc.input)
        self._incoming = Incoming(route, transcoding, limits)
        self._replies = Replies(route, transcoding.registry, transcoding.style)

    async def serve(self, request: Request, values: tuple[str, ...], receive: Receive, record: AccessRecord) -> Reply:
        """Answers a request whose path has these values. Raises MeshError."""
        self._rpc.tell(record, self._template)
        wanted, query = self._system_parameters.take(request.query) if request.query else (NONE_GIVEN, b"")
        form = self._replies.form(request.headers.get(b"accept"), wanted)
        admission = await self._rpc.admit(request, record)
        messages = await self._incoming.begin(request, values, query, receive, record)
        try:
            async with self._rpc.stream(admission, messages) as responses:
                message = await self._only(responses)
                headers = self._rpc.response_headers(await responses.initial_metadata())
                headers += self._rpc.response_headers(await responses.trailing_metadata())
        except MeshError as error:
            messages.as_client_writes(error)
            raise
        reply = self._replies.make(request, message, form)
        reply.headers += [*headers, *admission.headers]
        return reply

    async def _only(self, responses: Responses) -> bytes:
        """The one message of a response. Raises HttpError 502 if there is another number of them."""
        messages = aiter(responses)
        message = await anext(messages, None)
        if message is None or await anext(messages, None) is not None:
            log.error("a service sent no message, or several, where it promised one", rpc=self.name)
            raise HttpError(502, "The service gave no proper answer.", "BAD_RESPONSE")
        return message


class StreamingEndpoint:
    """Serves one route of a method that answers many messages, whether it takes one or many."""

    def __init__(self, route: Route, rpc: Rpc, transcoding: Transcoding, limits: StreamLimits) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is wrong."""
        self.name = route.method.name
        self._template = route.template.text
        self._rpc = rpc
        self._limits = limits
        self._system_parameters = SystemParameterReader(route.method.desc.input)
        self._incoming = Incoming(route, transcoding, limits)
        is_file = inner_type(route.method.desc.output, route.response_body) == HTTP_BODY
        self._outgoing = Outgoing(route, transcoding.registry, transcoding.style, is_file=is_file)
        self._is_file = is_file

    async def serve(self, request: Request, values: tuple[str, ...], receive: Receive, record: AccessRecord) -> Reply:
        """Answers a request whose path has these values. Raises MeshError."""
        self._rpc.tell(record, self._template)
        wanted, query = self._system_parameters.take(request.query) if request.query else (NONE_GIVEN, b"")
        writing = self._outgoing.begin(request, wanted)
        admission = await self._rpc.admit(request, record)
        if self._is_file:
            admission.metadata.extend(range_metadata(request))
        messages = await self._incoming.begin(request, values, query, receive, record)
        reply = Reply(200, [], b"")
        pieces = self._pieces(request, admission, messages, writing, reply, record)
        await anext(pieces)
        reply.body = pieces
        return reply

    async def _pieces(
        self,
        request: Request,
        admission: Admission,
        messages: Messages,
        writing: Writing,
        reply: Reply,
        record: AccessRecord,
    ) -> AsyncGenerator[bytes, None]:
        """The pieces of the reply. The first is empty: it comes when the status and the headers are known."""
        begun = False
        try:
            async with (
                self._rpc.stream(admission, messages) as responses,
                ResponseReader(responses, messages.activity) as feed,
            ):
                with request.connection.draining(partial(feed.stop, shutting_down())):
                    async with contextlib.aclosing(self._written(feed, responses, writing)) as written:
                        async for piece, metadata in written:
                            if not begun:
                                reply.status, reply.headers = writing.head(metadata)
                                reply.headers += [*self._rpc.response_headers(metadata), *admission.headers]
                                begun = True
                                yield b""
                                if request.method == "HEAD":
                                    return
                            yield piece
        except MeshError as error:
            messages.as_client_writes(error)
            if not begun:
                raise self._of_http(error, request) from error
            yield await self._fail(error, writing, request, record)
        except Exception:
            if not begun:
                raise
            log.exception("stream failed", route=record.route, request_id=record.request_id)
            yield await self._fail(Internal("Internal error."), writing, request, record)

    async def _written(
        self, feed: ResponseReader, responses: Responses, writing: Writing
    ) -> AsyncGenerator[tuple[bytes, Metadata], None]:
        """Each piece of the response, with the metadata before it as far as they are known. The first may be there
        before the first message is.
        """
        patience_s = self._limits.open_s if writing.opens_early else None
        heartbeat_s = self._limits.heartbeat_s if writing.heartbeat else None
        metadata: Metadata | None = None
        while True:
            try:
                content = await feed.next(patience_s)
            except Ended:
                yield writing.end(), await responses.initial_metadata()
                return
            if content is not None and metadata is None:
                metadata = await responses.initial_metadata()
            yield writing.heartbeat if content is None else writing.message(content), metadata or ()
            patience_s = heartbeat_s or None

    async def _fail(self, error: MeshError, writing: Writing, request: Request, record: AccessRecord) -> bytes:
        """What tells of an error when the head is out."""
        record.code = error.code.name
        piece = writing.error(error)
        return piece if piece is not None else await request.connection.cut()

    def _of_http(self, error: MeshError, request: Request) -> MeshError:
        """The error as HTTP has it: 416 for a range that a file does not have (RFC 9110, section 15.5.17)."""
        if not self._is_file or error.code is not Code.OUT_OF_RANGE or b"range" not in request.headers:
            return error
        given = {**dict(error.initial_metadata), **dict(error.trailing_metadata)}.get("content-range")
        headers = [(b"content-range", given.encode())] if isinstance(given, str) else []
        return HttpError(416, error.message, error.reason or "RANGE_NOT_SATISFIABLE", headers)
