"""Plays the proxies of a service mesh as Linkerd's behave.

Before the edge, over HTTP/1.1: connections of its own on both sides, no hop-by-hop header passed on, an empty 502 when
the application's connection fails. Before a service, over gRPC: an endpoint that fails seven times in a row is ejected.
"""

import asyncio
import contextlib
import math
import time
from collections import Counter
from typing import Any, Final, Self

import grpc
import grpc.aio
import h11

FAILURES_MAX: Final = 7
EJECTED_S: Final = 1.0
COUNTED: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.PERMISSION_DENIED,
    }
)

_HOP_BY_HOP: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_NOT_PASSED_ON: Final = _HOP_BY_HOP | {b"l5d-proxy-connection"}


class HttpConnection:
    """A connection of an HTTP/1.1 client. `is_open` is true if it can send another request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connects to a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @property
    def is_open(self) -> bool:
        """Returns whether neither side has closed the connection."""
        return self._http.our_state is h11.IDLE and not self._reader.at_eof()

    async def request(self, request: h11.Request, body: bytes = b"") -> tuple[h11.Response, bytes]:
        """The response and its body. Raises OSError or h11.RemoteProtocolError if there is none."""
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        response, content = None, b""
        while True:
            event = await next_event(self._http, self._reader)
            match event:
                case h11.Response():
                    response = event
                case h11.Data(data=data):
                    content += bytes(data)
                case h11.EndOfMessage():
                    break
                case h11.ConnectionClosed():
                    raise h11.RemoteProtocolError("closed before the response")
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        assert response is not None, "it comes before the end"
        return response, content

    def close(self) -> None:
        """Closes it."""
        self._writer.close()


async def next_event(http: h11.Connection, reader: asyncio.StreamReader) -> Any:
    """The next event of a connection."""
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await reader.read(65536))
    return event


class HttpProxy:
    """A proxy before an HTTP application. It closes its client's connection on the header l5d-proxy-connection."""

    def __init__(self, application_port: int) -> None:
        self.port = 0
        self._application_port = application_port
        self._idle: list[HttpConnection] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self._idle:
            connection.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER)
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while True:
                request, body = await next_event(http, reader), b""
                if not isinstance(request, h11.Request):
                    return
                while not isinstance(event := await next_event(http, reader), h11.EndOfMessage):
                    body += bytes(event.data)
                response, content = await self._forward(request, body)
                for part in (response, h11.Data(data=content), h11.EndOfMessage()):
                    writer.write(http.send(part) or b"")
                if http.our_state is not h11.DONE:
                    return
                http.start_next_cycle()

    async def _forward(self, request: h11.Request, body: bytes) -> tuple[h11.Response, bytes]:
        """The response for the client, and its body."""
        kept = [(name, value) for name, value in request.headers if name not in _HOP_BY_HOP]
        forwarded = h11.Request(method=request.method, target=request.target, headers=kept)
        try:
            connection = next((each for each in self._idle if each.is_open), None)
            if connection is None:
                connection = await HttpConnection.open(self._application_port)
            else:
                self._idle.remove(connection)
            response, content = await connection.request(forwarded, body)
        except (OSError, h11.ProtocolError):
            return h11.Response(status_code=502, headers=[("content-length", "0")]), b""
        if connection.is_open:
            self._idle.append(connection)
        else:
            connection.close()
        headers = [(name, value) for name, value in response.headers if name not in _NOT_PASSED_ON]
        if (b"l5d-proxy-connection", b"close") in list(response.headers):
            headers.append((b"connection", b"close"))
        return h11.Response(status_code=response.status_code, headers=headers), content


class GrpcProxy(grpc.GenericRpcHandler):
    """A proxy before one endpoint of a gRPC service. `statuses` counts what the endpoint answered, `ejections` how
    often it was ejected.
    """

    def __init__(self, service_port: int) -> None:
        self.port = 0
        self.statuses: Counter[grpc.StatusCode] = Counter()
        self.ejections = 0
        self._address = f"127.0.0.1:{service_port}"
        self._in_a_row = 0
        self._ejected_until = 0.0

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._address)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)
        await self._channel.close()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Forwards calls that send one message for one."""
        method: Any = self._channel.unary_unary(str(handler_call_details.method))

        async def forward(request: bytes, context: Any) -> bytes:
            if time.monotonic() < self._ejected_until:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "no endpoint is available")
            timeout_s, metadata = context.time_remaining(), context.invocation_metadata()
            deadline = time.monotonic() + (math.inf if timeout_s is None else timeout_s)
            forwarded = [(name, value) for name, value in metadata if not name.startswith(("grpc-", "user-agent"))]
            try:
                answer: bytes = await method(request, timeout=timeout_s, metadata=forwarded)
            except grpc.aio.AioRpcError as error:
                self._count(error.code())
                await context.abort(error.code(), error.details(), tuple(error.trailing_metadata()))
            except asyncio.CancelledError:
                # An expired deadline counts as the endpoint's failure; a caller that disconnects does not.
                if time.monotonic() > deadline - 0.005:
                    self._count(grpc.StatusCode.DEADLINE_EXCEEDED)
                raise
            self._count(grpc.StatusCode.OK)
            return answer

        return grpc.unary_unary_rpc_method_handler(forward)

    def _count(self, status: grpc.StatusCode) -> None:
        self.statuses[status] += 1
        self._in_a_row = self._in_a_row + 1 if status in COUNTED else 0
        if self._in_a_row >= FAILURES_MAX:
            self._in_a_row = 0
            self.ejections += 1
            self._ejected_until = time.monotonic() + EJECTED_S
