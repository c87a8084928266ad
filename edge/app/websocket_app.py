"""The dispatch of WebSocket handshakes to the routes of streaming methods."""

import asyncio
from collections.abc import Callable

import structlog
from protobuf import Registry

from edge.http.cors import Cors
from edge.http.errors import HTTP_STATUS, HttpError, render
from edge.http.request import Receive, Request, Scope, Send
from edge.http.request_id import REQUEST_ID
from edge.http.websocket_handshake import (
    check_handshake,
    check_origin,
    choose_subprotocol,
    parse_subprotocols,
    with_token_header,
)
from edge.httprule.router import MalformedPath, Match, Router
from edge.protocols.websocket.websocket_endpoint import WebSocketEndpoint
from edge.protocols.websocket.websocket_reply_writer import WebSocketReplyWriter
from mesh.errors import Cancelled, Code, Internal, MeshError

log = structlog.get_logger()

WebSocketFactory = Callable[[], WebSocketEndpoint]
"""Returns an endpoint, which is made at the first call and then kept."""


class WebSocketApp:
    """An ASGI application that serves a router's endpoints over WebSocket."""

    def __init__(self, router: Router[WebSocketFactory], details: Registry, cors: Cors) -> None:
        """`details` has the types of errors' details."""
        self._router = router
        self._details = details
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one WebSocket."""
        request = Request.of(scope, receive)
        record = request.record
        try:
            with request.connection.cancel_on_loss(), request.held:
                assert (await receive())["type"] == "websocket.connect", "ASGI's first event"
                await self._serve(request, send)
        except asyncio.CancelledError:
            if record.code == Code.OK.name:
                record.code = (Code.CANCELLED if request.connection.lost else Code.UNAVAILABLE).name
            if not request.connection.lost:
                raise
        finally:
            if not record.status:  # the handshake has no response
                record.status = HTTP_STATUS[Code[record.code]]
            record.write()

    async def _serve(self, request: Request, send: Send) -> None:
        try:
            await self._answer(request, send)
        except Exception:
            log.exception("request failed", route=request.record.route, request_id=request.record.request_id)
            await self._reject(Internal("Internal error."), request, send)

    async def _answer(self, request: Request, send: Send) -> None:
        """Serves the endpoint, or rejects the handshake. Raises what prevents an error from being written."""
        try:
            endpoint, values, subprotocols = self._find(request)
            writer = WebSocketReplyWriter(request, send, choose_subprotocol(subprotocols))
            await endpoint.serve(with_token_header(request, subprotocols), values, writer)
        except Cancelled as error:
            request.record.code = error.code.name
        except MeshError as error:
            await self._reject(error, request, send)

    def _find(self, request: Request) -> tuple[WebSocketEndpoint, tuple[str, ...], list[str]]:
        """Returns the endpoint, the values of the path's variables, and the subprotocols that the client offers."""
        try:
            found = self._router.match("GET", request.path)
        except MalformedPath as error:
            raise HttpError(400, str(error), "MALFORMED_PATH") from error
        if not isinstance(found, Match):
            raise HttpError(404, "There is no stream at this URL.", "ROUTE_NOT_FOUND")
        check_handshake(request)
        subprotocols = parse_subprotocols(request)
        check_origin(request, self._cors)
        return found.target(), found.values, subprotocols

    async def _reject(self, error: MeshError, request: Request, send: Send) -> None:
        """Rejects a handshake with an HTTP response."""
        record = request.record
        record.code = error.code.name
        record.status, headers, body = render(error, self._details, scheme=request.auth_scheme())
        headers.append((REQUEST_ID.encode(), record.request_id.encode()))
        await send({"type": "websocket.http.response.start", "status": record.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
