"""Every WebSocket: match, decide, open, exchange, close; whatever goes wrong becomes a status or a close frame."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import structlog
from protobuf import Registry
from uvicorn.protocols.utils import ClientDisconnected

from edge.http.access_record import NO_RPC, AccessRecord, RpcMetrics
from edge.http.cors import Cors
from edge.http.errors import HttpError, render
from edge.http.handshake import authorized, check_handshake, check_origin, offered_subprotocols, subprotocol
from edge.http.headers import Headers
from edge.http.request import Receive, Request, Scope, Send
from edge.http.request_id import REQUEST_ID, request_id
from edge.httprule.router import MalformedPath, Match, Router
from edge.protocols.websocket.closing import NORMAL, close_code, close_reason
from edge.protocols.websocket.endpoint import Exchange, SocketEndpoint
from mesh.errors import Code, Internal, MeshError

log = structlog.get_logger()

SocketMaker = Callable[[], SocketEndpoint]
"""Gives an endpoint, which is made at its first call."""

_SWITCHING: Final = 101


class Sockets:
    """An ASGI application that opens streams over WebSocket."""

    def __init__(self, router: Router[SocketMaker], details: Registry, cors: Cors) -> None:
        """`details` knows the types of errors' details."""
        self._router = router
        self._details = details
        self._cors = cors
        self._unmatched = RpcMetrics(NO_RPC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one WebSocket."""
        request = Request.of(scope)
        record = AccessRecord("WEBSOCKET", request_id(request.headers), time.perf_counter(), self._unmatched)
        record.bind(request.headers)
        record.status = _SWITCHING
        try:
            with request.connection.watch(), request.held:
                assert (await receive())["type"] == "websocket.connect", "what comes first"
                try:
                    exchange, subprotocols = await self._open(request, receive, record)
                except MeshError as error:
                    await self._refuse(error, request, record, send)
                else:
                    await self._accept(exchange, subprotocols, record, send)
                    await self._run(exchange, record, send)
        except asyncio.CancelledError:
            if record.code == Code.OK.name:
                record.code = (Code.CANCELLED if request.connection.lost else Code.UNAVAILABLE).name
            if not request.connection.lost:
                raise
        finally:
            record.write()

    async def _open(self, request: Request, receive: Receive, record: AccessRecord) -> tuple[Exchange, list[str]]:
        """Decides on a handshake. Gives the call, and the subprotocols that the client offers."""
        try:
            found = self._router.match("GET", request.path)
        except MalformedPath as error:
            raise HttpError(400, str(error), "MALFORMED_PATH") from error
        if not isinstance(found, Match):
            raise HttpError(404, "There is no stream at this URL.", "ROUTE_NOT_FOUND")
        check_handshake(request)
        subprotocols = offered_subprotocols(request)
        check_origin(request, self._cors)
        try:
            request = authorized(request, subprotocols)
            return await found.target().open(request, found.values, receive, record), subprotocols
        except MeshError:
            raise
        except Exception as error:
            log.exception("request failed", route=record.route, request_id=record.request_id)
            raise Internal("Internal error.") from error

    async def _refuse(self, error: MeshError, request: Request, record: AccessRecord, send: Send) -> None:
        """Answers instead of opening."""
        record.code = error.code.name
        scheme = request.headers.get(b"authorization", b"").partition(b" ")[0]
        record.status, headers, body = render(error, self._details, scheme=scheme)
        headers += self._headers(record)
        await send({"type": "websocket.http.response.start", "status": record.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    async def _accept(self, exchange: Exchange, subprotocols: list[str], record: AccessRecord, send: Send) -> None:
        headers = [*exchange.admission.headers, *self._headers(record)]
        await send({"type": "websocket.accept", "subprotocol": subprotocol(subprotocols), "headers": headers})

    async def _run(self, exchange: Exchange, record: AccessRecord, send: Send) -> None:
        """Sends what the service answers, then how it ended."""
        try:
            async with contextlib.aclosing(exchange.frames()) as frames:
                async for frame in frames:
                    record.response_bytes += len(frame)
                    await send({"type": "websocket.send", "text" if isinstance(frame, str) else "bytes": frame})
            await send({"type": "websocket.close", "code": NORMAL})
        except ClientDisconnected:
            record.code = Code.CANCELLED.name
        except MeshError as error:
            await self._fail(error, record, send)
        except Exception:
            log.exception("stream failed", route=record.route, request_id=record.request_id)
            await self._fail(Internal("Internal error."), record, send)

    async def _fail(self, error: MeshError, record: AccessRecord, send: Send) -> None:
        """Tells of an error: whole in a frame, for which the close frame has no room, and then by the close frame."""
        record.code = error.code.name
        with contextlib.suppress(ClientDisconnected):
            await send({"type": "websocket.send", "text": render(error, self._details)[2].decode()})
            await send({"type": "websocket.close", "code": close_code(error), "reason": close_reason(error)})

    def _headers(self, record: AccessRecord) -> Headers:
        return [(REQUEST_ID.encode(), record.request_id.encode())]
