"""Unary methods."""

from functools import partial

from meshwright.policy.v1.policy_pb import ErrorFormat

from edge.bind.binder import Binder
from edge.bind.system_parameters import SystemParameterReader
from edge.call.rpc import Rpc
from edge.contract.route import Route
from edge.http import worker_thread
from edge.http.oauth2_errors import oauth2_reply
from edge.http.preconditions import is_mismatch, precondition_failed
from edge.http.reply import Reply
from edge.http.reply_writer import ReplyWriter
from edge.http.request import Request
from edge.http.whole_body import read_body
from edge.protocols.driver import CallDriver
from edge.protocols.exchange import Attempt, SingleExchange
from edge.protocols.rest.transcoding import Transcoding
from edge.reply.replies import Replies
from mesh.client import UnaryResponse
from mesh.errors import InvalidArgument, MeshError


class UnaryEndpoint:
    """The endpoint of one route of a unary method."""

    def __init__(self, route: Route, rpc: Rpc, transcoding: Transcoding) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is invalid."""
        self.name = route.method.name
        self.invalid_reason = route.method.policy.invalid_reason
        self.error_format = route.method.policy.error_format
        self.limits = transcoding.body_limits(route.method)
        self.system_parameters = SystemParameterReader(route.method.desc.input)
        self.binder = Binder(route, transcoding.readers, transcoding.validator)
        self.replies = Replies(route, rpc.response_headers, transcoding.messages, transcoding.style)
        self._driver = CallDriver(rpc, route.template.text)

    async def serve(self, request: Request, values: tuple[str, ...], writer: ReplyWriter) -> None:
        """Answers a request. `values` are those of the path's variables. Raises MeshError."""
        await writer.reply(await self._driver.answer(_Exchange(self, request, values), request))


class _Exchange(SingleExchange):
    def __init__(self, endpoint: UnaryEndpoint, request: Request, values: tuple[str, ...]) -> None:
        self._endpoint = endpoint
        self._request = request
        self._values = values
        self._proto_names: set[str] = set()
        self._tries_versions = False

    def read_head(self) -> None:
        wanted, self._query = self._endpoint.system_parameters.take(self._request.query)
        self._options = self._endpoint.replies.options(self._request.headers.get(b"accept"), wanted)

    async def attempts(self) -> list[Attempt]:
        """Reads the body. Returns one attempt for each version in If-Match, one attempt without this header."""
        content = await read_body(self._request, self._endpoint.limits)
        alternatives = self._endpoint.binder.split_by_version(self._request)
        self._tries_versions = alternatives[0] is not self._request
        return [partial(self._read, each, content) for each in alternatives]

    def from_service(self, error: MeshError) -> MeshError:
        error = self._endpoint.binder.paths.show(error, self._proto_names)
        return precondition_failed(error) if self._tries_versions and is_mismatch(error) else error

    def reply(self, response: UnaryResponse) -> Reply:
        return self._endpoint.replies.build(self._request, response, self._options)

    def fail(self, error: MeshError) -> Reply:
        if self._endpoint.error_format is not ErrorFormat.OAUTH2:
            raise error
        self._request.record.code = error.code.name
        return oauth2_reply(error, self._request.auth_scheme())

    async def _read(self, request: Request, content: bytes) -> bytes:
        message, self._proto_names = await worker_thread.run(len(content), self._bind, request, content)
        return message

    def _bind(self, request: Request, content: bytes) -> tuple[bytes, set[str]]:
        try:
            return self._endpoint.binder.bind(request, self._values, self._query, content)
        except InvalidArgument as error:
            error.reason = self._endpoint.invalid_reason or error.reason
            raise
