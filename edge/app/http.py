"""Every request to the contract's routes: match, serve, and whatever goes wrong into the one shape of error."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Final

import structlog
from protobuf import Registry

from edge.http.access_record import NO_RPC, AccessRecord, RpcMetrics
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
        self._unmatched = RpcMetrics(NO_RPC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request = Request.of(scope)
        record = AccessRecord(request.method, request_id(request.headers), time.perf_counter(), self._unmatched)
        record.bind(request.headers)
        found = self._found(request, record)
        try:
            with request.connection.watch(), request.held:
                reply = found if isinstance(found, Reply) else await self._serve(found, request, receive, record)
                await self._send(reply, request, record, send)
        except asyncio.CancelledError:
            if not request.connection.lost:
                await self._stop(request, record, send)
                return
            if record.code == Code.OK.name:
                record.status, record.code = HTTP_STATUS[Code.CANCELLED], Code.CANCELLED.name
            record.write()

    async def _stop(self, request: Request, record: AccessRecord, send: Send) -> None:
        """Ends a request that the server, which stops, waits for no longer."""
        if not record.status:
            await self._send(self._fail(shutting_down(), request, record), request, record, send)
            return
        if record.code == Code.OK.name:
            record.code = Code.UNAVAILABLE.name
        record.write()
        await request.connection.close()

    def _found(self, request: Request, record: AccessRecord) -> Match[Endpoint] | Reply:
        try:
            return self._find(request)
        except MeshError as error:
            return self._fail(error, request, record)

    async def _serve(self, found: Match[Endpoint], request: Request, receive: Receive, record: AccessRecord) -> Reply:
        try:
            return await found.target.serve(request, found.values, receive, record)
        except MeshError as error:
            return self._fail(error, request, record)
        except Exception:
            log.exception("request failed", route=record.route, request_id=record.request_id)
            return self._fail(Internal("Internal error."), request, record)

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

    def _fail(self, error: MeshError, request: Request, record: AccessRecord) -> Reply:
        record.code = error.code.name
        refused = refusal(error, request, self._registry)
        if refused is not None:
            return refused
        scheme = request.headers.get(b"authorization", b"").partition(b" ")[0]
        accept = request.headers.get(b"accept", b"")
        status, headers, body = render(error, self._registry, scheme=scheme, accept=accept)
        return Reply(status, [*headers, (b"vary", b"accept")], body)

    async def _send(self, reply: Reply, request: Request, record: AccessRecord, send: Send) -> None:
        coding = negotiate(reply, request)
        if _is_not_modified(reply, request):
            await _empty(reply)
        elif coding:
            await encode(reply, coding)
        if isinstance(reply.body, bytes) and len(reply.body) > BYTES_FREE:
            reply = self._held(reply, reply.body, request, record)
        record.status = reply.status
        headers = [*reply.headers, *self._cors.headers(request), (_REQUEST_ID, record.request_id.encode())]
        headers.append((b"x-content-type-options", b"nosniff"))
        start = {"type": "http.response.start", "status": reply.status, "headers": headers}
        if isinstance(reply.body, bytes):
            if reply.status not in _NO_CONTENT:
                headers.append((b"content-length", str(len(reply.body)).encode()))
            await send(start)
            await send({"type": "http.response.body", "body": reply.body})
            record.response_bytes = len(reply.body)
            if len(reply.body) > BYTES_FREE:
                await request.connection.taken()
        else:
            await send(start)
            await _send_pieces(reply.body, record, send)
        record.write()

    def _held(self, reply: Reply, body: bytes, request: Request, record: AccessRecord) -> Reply:
        """The reply, whose body the request holds in the place of its own; or that there is no room for it."""
        request.held.set(0)
        try:
            request.held.add(len(body))
        except MeshError as error:
            return self._fail(error, request, record)
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


async def _send_pieces(pieces: AsyncGenerator[bytes, None], record: AccessRecord, send: Send) -> None:
    """Sends each piece as it comes, and asks for the next when the client has taken it."""
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            record.response_bytes += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
