"""Every request to the contract's routes: match, serve, and whatever goes wrong into the one shape of error."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Final

import structlog
from protobuf import Registry

from edge.http.access_record import NO_RPC, Line, Observed
from edge.http.compression import encode, negotiate
from edge.http.cors import Cors
from edge.http.draining import shutting_down
from edge.http.errors import HTTP_STATUS, HttpError, render
from edge.http.preconditions import is_known
from edge.http.reply import Reply
from edge.http.request import JSON, Receive, Request, Scope, Send
from edge.http.request_id import REQUEST_ID, request_id
from edge.httprule.router import MalformedPath, Match, Router
from edge.protocols.endpoint import Endpoint
from edge.protocols.refusal import refusal
from mesh.errors import Code, Internal, MeshError

log = structlog.get_logger()

_REQUEST_ID: Final = REQUEST_ID.encode()
BYTES_FREE: Final = 16 * 1024
"""Smaller replies are not counted: each connection may have as much waiting to be sent."""

_NO_CONTENT: Final = (204, 304)


class Pipeline:
    """An ASGI application that serves a router's endpoints."""

    def __init__(self, router: Router[Endpoint], registry: Registry, cors: Cors) -> None:
        self._router = router
        self._registry = registry
        self._cors = cors
        self._unmatched = Observed(NO_RPC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request = Request.of(scope)
        line = Line(request.method, request_id(request.headers), time.perf_counter(), self._unmatched)
        line.bind(request.headers)
        found = self._found(request, line)
        try:
            with request.connection.watch(), request.held:
                reply = found if isinstance(found, Reply) else await self._serve(found, request, receive, line)
                await self._send(reply, request, line, send)
        except asyncio.CancelledError:
            if not request.connection.lost:
                await self._stop(request, line, send)
                return
            if line.code == Code.OK.name:
                line.status, line.code = HTTP_STATUS[Code.CANCELLED], Code.CANCELLED.name
            line.write()

    async def _stop(self, request: Request, line: Line, send: Send) -> None:
        """Ends a request that the server, which stops, waits for no longer."""
        if not line.status:
            await self._send(self._fail(shutting_down(), request, line), request, line, send)
            return
        if line.code == Code.OK.name:
            line.code = Code.UNAVAILABLE.name
        line.write()
        await request.connection.close()

    def _found(self, request: Request, line: Line) -> Match[Endpoint] | Reply:
        try:
            return self._find(request)
        except MeshError as error:
            return self._fail(error, request, line)

    async def _serve(self, found: Match[Endpoint], request: Request, receive: Receive, line: Line) -> Reply:
        try:
            return await found.target.serve(request, found.values, receive, line)
        except MeshError as error:
            return self._fail(error, request, line)
        except Exception:
            log.exception("request failed", route=line.route, request_id=line.request_id)
            return self._fail(Internal("Internal error."), request, line)

    def _find(self, request: Request) -> Match[Endpoint] | Reply:
        """The endpoint, or the reply to OPTIONS. Raises HttpError 400, 404 or 405."""
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
            # RFC 5789, section 3.1; whatever else a method takes, it takes JSON.
            patch = [(b"accept-patch", JSON.encode())] if "PATCH" in allowed else []
            return Reply(204, [(b"allow", allow), *patch, *self._cors.preflight(request, allow)], b"")
        text = f"This URL does not take {request.method}; it takes {allow.decode('latin-1')}."
        raise HttpError(405, text, "METHOD_NOT_ALLOWED", [(b"allow", allow)])

    def _fail(self, error: MeshError, request: Request, line: Line) -> Reply:
        line.code = error.code.name
        refused = refusal(error, request, self._registry)
        if refused is not None:
            return refused
        scheme = request.headers.get(b"authorization", b"").partition(b" ")[0]
        accept = request.headers.get(b"accept", b"")
        status, headers, body = render(error, self._registry, scheme=scheme, accept=accept)
        return Reply(status, [*headers, (b"vary", b"accept")], body)

    async def _send(self, reply: Reply, request: Request, line: Line, send: Send) -> None:
        coding = negotiate(reply, request)
        if _is_not_modified(reply, request):
            await _empty(reply)
        elif coding:
            await encode(reply, coding)
        if isinstance(reply.body, bytes) and len(reply.body) > BYTES_FREE:
            reply = self._held(reply, reply.body, request, line)
        line.status = reply.status
        headers = [*reply.headers, *self._cors.headers(request), (_REQUEST_ID, line.request_id.encode())]
        headers.append((b"x-content-type-options", b"nosniff"))
        start = {"type": "http.response.start", "status": reply.status, "headers": headers}
        if isinstance(reply.body, bytes):
            if reply.status not in _NO_CONTENT:
                headers.append((b"content-length", str(len(reply.body)).encode()))
            await send(start)
            await send({"type": "http.response.body", "body": reply.body})
            line.response_bytes = len(reply.body)
            if len(reply.body) > BYTES_FREE:
                await request.connection.taken()
        else:
            await send(start)
            await _send_pieces(reply.body, line, send)
        line.write()

    def _held(self, reply: Reply, body: bytes, request: Request, line: Line) -> Reply:
        """The reply, whose body the request holds in the place of its own; or that there is no room for it."""
        request.held.set(0)
        try:
            request.held.add(len(body))
        except MeshError as error:
            return self._fail(error, request, line)
        return reply


def _is_not_modified(reply: Reply, request: Request) -> bool:
    """Whether the client has what is answered (RFC 9110, section 13.1.2)."""
    if request.method not in ("GET", "HEAD") or not 200 <= reply.status < 300:
        return False
    return any(name == b"etag" and is_known(value, request.headers) for name, value in reply.headers)


async def _empty(reply: Reply) -> None:
    """Makes the reply a 304, which has the headers that steer caches, and none that describe a content (RFC 9110,
    section 15.4.5).
    """
    if not isinstance(reply.body, bytes):
        await reply.body.aclose()
    reply.status, reply.body = 304, b""
    reply.headers = [(name, value) for name, value in reply.headers if not name.startswith(b"content-")]


async def _send_pieces(pieces: AsyncGenerator[bytes, None], line: Line, send: Send) -> None:
    """Sends each piece as it comes, and asks for the next when the client has taken it."""
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            line.response_bytes += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
