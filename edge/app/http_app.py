"""The dispatch of HTTP requests to the contract's routes. All errors have the same shape."""

import asyncio
from typing import Final

import structlog
from protobuf import Registry

from edge.http.cors import Cors
from edge.http.draining import shutdown_error
from edge.http.errors import HTTP_STATUS, HttpError, render
from edge.http.reply import Reply
from edge.http.reply_writer import ReplyWriter
from edge.http.request import JSON, Receive, Request, Scope, Send
from edge.httprule.router import MalformedPath, Match, Router
from edge.protocols.endpoint import Endpoint
from edge.protocols.protocol_error import protocol_error_reply
from mesh.errors import Code, Internal, MeshError

log = structlog.get_logger()

_OK: Final = Code.OK.name


class HttpApp:
    """An ASGI application that serves a router's endpoints over HTTP."""

    def __init__(self, router: Router[Endpoint], details: Registry, cors: Cors) -> None:
        """`details` has the types of errors' details."""
        self._router = router
        self._details = details
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request = Request.of(scope, receive)
        writer = ReplyWriter(request, send, self._cors)
        record = request.record
        try:
            with request.connection.cancel_on_loss(), request.held:
                await self._serve(request, writer)
        except asyncio.CancelledError:
            if not request.connection.lost:
                await self._stop(request, writer)
            elif record.code == _OK:
                record.status, record.code = HTTP_STATUS[Code.CANCELLED], Code.CANCELLED.name
        finally:
            record.write()

    async def _serve(self, request: Request, writer: ReplyWriter) -> None:
        try:
            await self._answer(request, writer)
        except MeshError as error:  # the body of an error had no room; that of this one needs none
            await self._fail(error, request, writer)
        except Exception:
            log.exception("request failed", route=request.record.route, request_id=request.record.request_id)
            await self._fail(Internal("Internal error."), request, writer)

    async def _answer(self, request: Request, writer: ReplyWriter) -> None:
        """Answers with the reply or the error of the endpoint. Raises what prevents an error from being written."""
        try:
            found = self._find(request)
            if isinstance(found, Reply):
                await writer.reply(found)
            else:
                await found.target.serve(request, found.values, writer)
        except MeshError as error:
            await self._fail(error, request, writer)

    async def _stop(self, request: Request, writer: ReplyWriter) -> None:
        """Ends a request that is still open when the grace period of the drain is over."""
        if not writer.started:
            await self._fail(shutdown_error(), request, writer)
            return
        if request.record.code == _OK:
            request.record.code = Code.UNAVAILABLE.name
        await request.connection.close()

    def _find(self, request: Request) -> Match[Endpoint] | Reply:
        """Returns the endpoint, or the reply to an OPTIONS request. Raises HttpError 400, 404 or 405."""
        if request.method == "OPTIONS" and request.path == "*":
            return Reply(204, [])  # it asks about the server as a whole: RFC 9110, section 9.3.7
        try:
            found = self._router.match(request.method, request.path)
        except MalformedPath as error:
            raise HttpError(400, str(error), "MALFORMED_PATH") from error
        if isinstance(found, Match):
            if not self._cors.is_preflight(request):
                return found
            allowed = {request.headers[b"access-control-request-method"].decode("latin-1")}
        elif found.allowed:
            allowed = {*found.allowed, "OPTIONS"}
        else:
            raise HttpError(404, "There is nothing at this URL.", "ROUTE_NOT_FOUND")
        allow = ", ".join(sorted(allowed)).encode("latin-1")
        if request.method == "OPTIONS":
            # RFC 5789, section 3.1. Every method takes JSON.
            patch = [(b"accept-patch", JSON.encode())] if "PATCH" in allowed else []
            return Reply(204, [(b"allow", allow), *patch, *self._cors.preflight(request, allow)])
        text = f"This URL does not support {request.method}; it supports {allow.decode('latin-1')}."
        raise HttpError(405, text, "METHOD_NOT_ALLOWED", [(b"allow", allow)])

    async def _fail(self, error: MeshError, request: Request, writer: ReplyWriter) -> None:
        """Answers with an error. Aborts the connection if the head has already been sent."""
        request.record.code = error.code.name
        if writer.started:
            await request.connection.abort()
        await writer.reply(self._error(error, request))

    def _error(self, error: MeshError, request: Request) -> Reply:
        if (reply := protocol_error_reply(error, request, self._details)) is not None:
            return reply
        accept = request.headers.get(b"accept", b"")
        status, headers, body = render(error, self._details, scheme=request.auth_scheme(), accept=accept)
        return Reply(status, [*headers, (b"vary", b"accept")], body)
