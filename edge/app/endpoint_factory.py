"""The endpoints of a contract. Each is made when it is first called, because only few of thousands of routes are."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import cache, partial
from typing import Any

from edge.app.call_limits import CallLimits
from edge.app.websocket_app import WebSocketFactory
from edge.call.metadata import RequestHeaders, ResponseHeaders
from edge.call.rpc import CallSettings, Rpc
from edge.call.upstream import Upstream
from edge.contract.contract import Contract
from edge.contract.method import Method
from edge.contract.route import Route
from edge.http.reply_writer import ReplyWriter
from edge.http.request import Request
from edge.http.stream_limits import StreamLimits
from edge.http.whole_body import BodyLimits
from edge.protocols.endpoint import Endpoint
from edge.protocols.procedure import Procedure
from edge.protocols.rest.client_stream import ClientStreamEndpoint
from edge.protocols.rest.server_stream import ServerStreamEndpoint
from edge.protocols.rest.transcoding import Transcoding
from edge.protocols.rest.unary import UnaryEndpoint
from edge.protocols.rpc.enveloped_calls import RequestLimits
from edge.protocols.websocket.websocket_endpoint import WebSocketEndpoint
from edge.protojson.readers import Readers
from edge.protojson.writer import MessageWriter
from edge.reply.response_writer import JsonStyle
from edge.settings import EdgeSettings
from mesh.identity import Verifier
from mesh.validation import Validator


class EndpointFactory:
    """The factory of one contract's endpoints. The endpoints of a method share its RPC."""

    def __init__(
        self,
        contract: Contract,
        settings: EdgeSettings,
        upstream_of: Callable[[str], Upstream],
        verifier: Verifier | None,
        limits: CallLimits,
    ) -> None:
        self._validated = contract.validated
        self._upstream_of = upstream_of
        self._transcoding = _transcoding(contract, settings)
        self._stream_limits = _stream_limits(settings)
        # Connect's clients may be generated from a newer contract; like other servers, the edge ignores unknown fields.
        self._lenient_readers = Readers(contract.registry, ignore_unknown=True, depth_max=settings.json_depth_max)
        self._calls = _call_settings(settings, verifier, limits)
        self._rpcs: dict[str, Rpc] = {}

    def rest_endpoint(self, route: Route) -> Endpoint:
        """Returns the endpoint of a route. It is made at once if the request has validation rules, to find invalid
        ones. Raises protovalidate.CompilationError if a rule is invalid.
        """
        if route.method.name in self._validated:
            return self._make(route)
        return LazyEndpoint(route.method, partial(self._make, route))

    def websocket_endpoint(self, route: Route) -> WebSocketFactory:
        """Returns a factory of the WebSocket endpoint of a streaming method's route."""
        return cache(partial(self._make_websocket, route))

    def rpc_endpoint(self, method: Method) -> Endpoint:
        """Returns the endpoint of a method under its own name."""
        return LazyEndpoint(method, partial(self._make_procedure, method))

    def _make(self, route: Route) -> Endpoint:
        rpc, kind, transcoding = self._rpc(route.method), route.method.desc.method_kind, self._transcoding_of(route)
        if kind == "unary":
            return UnaryEndpoint(route, rpc, transcoding)
        if kind == "client_streaming":
            return ClientStreamEndpoint(route, rpc, transcoding, self._stream_limits)
        return ServerStreamEndpoint(route, rpc, transcoding, self._stream_limits)

    def _make_websocket(self, route: Route) -> WebSocketEndpoint:
        return WebSocketEndpoint(route, self._rpc(route.method), self._transcoding_of(route), self._stream_limits)

    def _transcoding_of(self, route: Route) -> Transcoding:
        if route.method.policy.ignore_unknown_fields:
            return replace(self._transcoding, readers=self._lenient_readers)
        return self._transcoding

    def _make_procedure(self, method: Method) -> Endpoint:
        return Procedure(
            self._rpc(method),
            self._lenient_readers,
            self._transcoding.validator,
            self._transcoding.messages,
            RequestLimits(self._transcoding.body_limits(method), self._stream_limits),
        )

    def _rpc(self, method: Method) -> Rpc:
        rpc = self._rpcs.get(method.name)
        if rpc is None:
            rpc = self._rpcs[method.name] = Rpc(method, self._upstream_of(method.service), self._calls)
        return rpc


class LazyEndpoint:
    """An endpoint that is made at its first call."""

    __slots__ = ("_endpoint", "_make", "name")

    def __init__(self, method: Method, make: Callable[[], Endpoint]) -> None:
        self.name = method.name
        self._make = make
        self._endpoint: Endpoint | None = None

    def serve(self, request: Request, values: tuple[str, ...], writer: ReplyWriter) -> Coroutine[Any, Any, None]:
        """Answers a request, as Endpoint.serve()."""
        if self._endpoint is None:
            self._endpoint = self._make()
        return self._endpoint.serve(request, values, writer)


def _call_settings(settings: EdgeSettings, verifier: Verifier | None, limits: CallLimits) -> CallSettings:
    return CallSettings(
        verifier=verifier,
        request_headers=RequestHeaders(settings.request_headers),
        response_headers=ResponseHeaders(settings.response_headers),
        timeout_s=settings.call_timeout_s,
        stream_timeout_s=settings.stream_timeout_s,
        traces=settings.otel_exporter_otlp_endpoint is not None,
        calls=limits.calls,
        streams=limits.streams,
        allowances=limits.allowances,
    )


def _stream_limits(settings: EdgeSettings) -> StreamLimits:
    return StreamLimits(
        message_bytes_max=settings.body_bytes_max,
        bytes_max=settings.stream_bytes_max,
        messages_max=settings.stream_messages_max,
        idle_s=settings.stream_idle_s,
        open_s=settings.stream_open_s,
        heartbeat_s=settings.stream_heartbeat_s,
    )


def _transcoding(contract: Contract, settings: EdgeSettings) -> Transcoding:
    return Transcoding(
        messages=MessageWriter(contract.registry),
        readers=Readers(
            contract.registry,
            ignore_unknown=settings.ignore_unknown_fields,
            depth_max=settings.json_depth_max,
        ),
        validator=Validator(),
        style=json_style(settings),
        limits=BodyLimits(settings.body_bytes_max, settings.body_timeout_s),
    )


def json_style(settings: EdgeSettings) -> JsonStyle:
    """Returns the style of JSON that the settings select."""
    return JsonStyle(
        proto_names=settings.json_proto_names,
        enums_as_numbers=settings.json_enums_as_numbers,
        emit_defaults=settings.json_emit_defaults,
    )
