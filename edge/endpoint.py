"""One route's calls, from the request to the reply: everything that can be is made when the edge starts."""

from dataclasses import dataclass

from protobuf import Registry

from edge.access import Access
from edge.binding import Binder
from edge.contract import Route
from edge.headers import REQUEST_ID, RequestHeaders, ResponseHeaders, timeout_s
from edge.observation import Line, Observed, span
from edge.protojson.readers import Readers
from edge.reply import JsonStyle, Replies, Reply
from edge.request import BodyLimits, Receive, Request, read_body
from edge.spelling import respell
from edge.upstream import Upstream
from mesh.client import UnaryReply
from mesh.errors import MeshError
from mesh.identity import Verifier
from mesh.validation import Validator


@dataclass(frozen=True, slots=True)
class Shared:
    """What all endpoints share."""

    registry: Registry
    readers: Readers
    validator: Validator
    verifier: Verifier | None
    style: JsonStyle
    limits: BodyLimits
    request_headers: RequestHeaders
    response_headers: ResponseHeaders
    timeout_s: float
    traces: bool


class Endpoint:
    """Serves one route."""

    def __init__(self, route: Route, upstream: Upstream, shared: Shared) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is wrong."""
        method = route.method
        self.route = route
        self._observed = Observed(method.name)
        self._upstream = upstream
        self._shared = shared
        self._access = Access(method.policy, shared.verifier)
        self._binder = Binder(route, shared.readers, shared.validator)
        self._replies = Replies(route, shared.registry, shared.style)
        self._timeout_s = method.policy.timeout_s or shared.timeout_s

    async def serve(self, request: Request, values: tuple[str, ...], receive: Receive, line: Line) -> Reply:
        """Answers a request whose path has these values. Raises MeshError."""
        line.route, line.observed = self.route.template.text, self._observed
        self._replies.check_acceptable(request.headers.get(b"accept"))
        admitted = await self._access.admit(request)
        line.caller = admitted.caller.subject
        allowed_s = timeout_s(request.headers, self._timeout_s)
        metadata = self._shared.request_headers.metadata(request.headers)
        metadata.append((REQUEST_ID, line.request_id))
        if admitted.authorization:
            metadata.append(("authorization", admitted.authorization))
        content = await read_body(request, receive, self._shared.limits)
        line.request_bytes = len(content)
        message, own_names = self._binder.bind(request, values, content)
        try:
            answer = await self._call(message, allowed_s, metadata)
        except MeshError as error:
            request_type = self.route.method.desc.input
            error.violations = tuple(respell(each, request_type, own_names) for each in error.violations)
            raise
        reply = self._replies.make(request, answer.message)
        reply.headers += self._shared.response_headers.headers(answer.metadata)
        reply.headers += admitted.headers
        return reply

    async def _call(self, message: bytes, allowed_s: float, metadata: list[tuple[str, str | bytes]]) -> UnaryReply:
        method, unary = self.route.method, self._upstream.unary
        if not self._shared.traces:
            return await unary(
                method.path, message, timeout_s=allowed_s, metadata=metadata, idempotent=method.idempotent
            )
        with span(method.name, metadata):
            return await unary(
                method.path, message, timeout_s=allowed_s, metadata=metadata, idempotent=method.idempotent
            )
