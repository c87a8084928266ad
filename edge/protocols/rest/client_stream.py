"""Client-streaming methods."""

from functools import partial

from edge.bind.system_parameters import SystemParameterReader
from edge.call.rpc import Rpc
from edge.contract.route import Route
from edge.http.idle_timer import IdleTimer
from edge.http.reply import Reply
from edge.http.reply_writer import ReplyWriter
from edge.http.request import Request
from edge.http.stream_limits import StreamLimits
from edge.protocols.driver import CallDriver
from edge.protocols.exchange import Attempt, SingleExchange
from edge.protocols.rest.request_reader import RequestMessages, RequestReader
from edge.protocols.rest.transcoding import Transcoding
from edge.reply.replies import Replies
from mesh.client import UnaryResponse
from mesh.errors import MeshError


class ClientStreamEndpoint:
    """The endpoint of one route of a client-streaming method."""

    def __init__(self, route: Route, rpc: Rpc, transcoding: Transcoding, limits: StreamLimits) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is invalid."""
        self.name = route.method.name
        self.system_parameters = SystemParameterReader(route.method.desc.input)
        self.reader = RequestReader(route, transcoding, limits)
        self.replies = Replies(route, rpc.response_headers, transcoding.messages, transcoding.style)
        self._driver = CallDriver(rpc, route.template.text)

    async def serve(self, request: Request, values: tuple[str, ...], writer: ReplyWriter) -> None:
        """Answers a request. `values` are those of the path's variables. Raises MeshError."""
        await writer.reply(await self._driver.answer(_Exchange(self, request, values), request))


class _Exchange(SingleExchange):
    def __init__(self, endpoint: ClientStreamEndpoint, request: Request, values: tuple[str, ...]) -> None:
        self._endpoint = endpoint
        self._request = request
        self._values = values

    def read_head(self) -> None:
        wanted, query = self._endpoint.system_parameters.take(self._request.query)
        self._options = self._endpoint.replies.options(self._request.headers.get(b"accept"), wanted)
        self._messages = RequestMessages(self._endpoint.reader, self._request, self._values, query)

    async def attempts(self) -> list[Attempt]:
        return [partial(self._endpoint.reader.read, self._messages, self._request, IdleTimer())]

    def from_service(self, error: MeshError) -> MeshError:
        return self._messages.with_client_path(error)

    def reply(self, response: UnaryResponse) -> Reply:
        return self._endpoint.replies.build(self._request, response, self._options)

    def fail(self, error: MeshError) -> Reply:
        raise error
