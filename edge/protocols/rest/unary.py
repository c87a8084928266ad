"""One route's calls, from the request to the reply: everything that can be is made when the edge starts."""

from functools import partial
from typing import Final

from edge.bind.binder import Binder
from edge.bind.system_parameters import NONE_GIVEN, SystemParameterReader
from edge.call import large_work
from edge.call.long_poll import until_drain
from edge.call.rpc import Admission, Rpc
from edge.contract.route import Route
from edge.http.access_record import AccessRecord
from edge.http.preconditions import stale
from edge.http.reply import Reply
from edge.http.request import Receive, Request
from edge.http.whole_body import read_body
from edge.protocols.rest.transcoding import Transcoding
from edge.protojson.client_paths import as_client_writes
from edge.reply.replies import Replies
from mesh.client import UnaryReply
from mesh.errors import Aborted, InvalidArgument, MeshError

_SINGLE: Final = frozenset({b"etag", b"cache-control"})
"""Headers that a reply has once: the service's own go before those of the edge."""


class UnaryEndpoint:
    """Serves one route of a method that takes one message and answers one."""

    def __init__(self, route: Route, rpc: Rpc, transcoding: Transcoding) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is wrong."""
        self.name = route.method.name
        self._long_poll = route.method.policy.long_poll
        self._invalid_reason = route.method.policy.invalid_reason
        self._template = route.template.text
        self._input = route.method.desc.input
        self._rpc = rpc
        self._limits = transcoding.body_limits(route.method)
        self._system_parameters = SystemParameterReader(self._input)
        self._binder = Binder(route, transcoding.readers, transcoding.validator)
        self._replies = Replies(route, transcoding.registry, transcoding.style)

    async def serve(self, request: Request, values: tuple[str, ...], receive: Receive, record: AccessRecord) -> Reply:
        """Answers a request whose path has these values. Raises MeshError."""
        self._rpc.tell(record, self._template)
        wanted, query = self._system_parameters.take(request.query) if request.query else (NONE_GIVEN, b"")
        form = self._replies.form(request.headers.get(b"accept"), wanted)
        admission = await self._rpc.admit(request, record)
        content = await read_body(request, receive, self._limits)
        record.request_bytes = len(content)
        answer = await self._answer(request, values, query, content, admission)
        reply = await large_work.run(len(answer.message), lambda: self._replies.make(request, answer.message, form))
        own = self._rpc.response_headers(answer.metadata)
        replaced = {name for name, _ in own} & _SINGLE
        reply.headers = [header for header in reply.headers if header[0] not in replaced]
        reply.headers += [*own, *admission.headers]
        return reply

    async def _answer(
        self, request: Request, values: tuple[str, ...], query: bytes, content: bytes, admission: Admission
    ) -> UnaryReply:
        """What the service answers; with If-Match to the first version of those it lists that is the current one."""
        refused: Aborted | None = None
        for alternative in self._binder.alternatives(request):
            message, own_names = await large_work.run(
                len(content), partial(self._bind, alternative, values, query, content)
            )
            try:
                call = self._rpc.unary(admission, message)
                return await (until_drain(request.connection, call) if self._long_poll else call)
            except MeshError as error:
                error.violations = tuple(as_client_writes(each, self._input, own_names) for each in error.violations)
                if not isinstance(error, Aborted) or alternative is request:
                    raise
                refused = error
        assert refused is not None, "there is one alternative at least"
        raise stale(refused) from refused

    def _bind(self, request: Request, values: tuple[str, ...], query: bytes, content: bytes) -> tuple[bytes, set[str]]:
        """As Binder.bind(), with the reason that the contract has for requests that break it."""
        try:
            return self._binder.bind(request, values, query, content)
        except InvalidArgument as error:
            error.reason = self._invalid_reason or error.reason
            raise
