"""The lifecycle of a call, the same in every protocol: admission, request, call, response, drain, error."""

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import structlog

from edge.call.long_poll import until_drain
from edge.call.response_reader import EndOfResponses, ResponseReader
from edge.call.rpc import Admission, Rpc
from edge.call.single_response import SingleResponse
from edge.call.upstream import Responses
from edge.http import worker_thread
from edge.http.headers import overridden
from edge.http.preconditions import check_current, is_mismatch
from edge.http.reply import Reply
from edge.http.request import Request
from edge.protocols.exchange import Exchange, SingleExchange, StreamExchange, StreamReplyWriter
from mesh.client import UnaryResponse
from mesh.errors import Internal, MeshError, Metadata
from mesh.traceback_release import release_frames

log = structlog.get_logger()


class CallDriver:
    """The driver of one route's calls, which are all of the same RPC."""

    def __init__(self, rpc: Rpc, route: str) -> None:
        self._rpc = rpc
        self._route = route
        self._long_poll = rpc.method.policy.long_poll

    async def answer(self, exchange: SingleExchange, request: Request) -> Reply:
        """Makes a call whose response is one message, and returns the reply. Raises the MeshError that exchange.fail()
        raises.
        """
        try:
            admission = await self._admit(exchange, request)
            with admission:
                response = await self._call(exchange, request, admission)
                if (size_bytes := len(response.message)) > worker_thread.INLINE_BYTES_MAX:
                    request.held.add(size_bytes)  # until it is its turn
                reply = await worker_thread.run(size_bytes, exchange.reply, response)
                check_current(request, reply.status, reply.headers)
        except Exception as error:  # noqa: BLE001 # _public_error() logs unexpected errors
            try:
                return exchange.fail(self._public_error(error, request))
            finally:
                release_frames(error)
        reply.headers += admission.headers
        return reply

    async def stream(self, exchange: StreamExchange, request: Request, writer: StreamReplyWriter) -> None:
        """Makes a call whose reply is written message by message. Raises the MeshError that exchange.fail()
        raises.
        """
        try:
            await self._stream(exchange, request, writer)
        except Exception as error:  # noqa: BLE001 # _public_error() logs unexpected errors
            try:
                await exchange.fail(self._public_error(error, request), writer)
            finally:
                release_frames(error)
        await writer.end()

    async def _admit(self, exchange: Exchange, request: Request) -> Admission:
        self._rpc.start_record(request.record, self._route)
        exchange.read_head()
        return await self._rpc.admit(request, exchange.requested_s)

    async def _call(self, exchange: SingleExchange, request: Request, admission: Admission) -> UnaryResponse:
        mismatch: MeshError | None = None
        attempts = await exchange.attempts()
        if len(attempts) > 1:
            self._rpc.share_timeout(admission)
        for attempt in attempts:
            requests = await attempt()
            try:
                if isinstance(requests, bytes):
                    return await self._unary(request, admission, requests)
                return await self._rpc.collect(admission, requests)
            except MeshError as error:
                if not is_mismatch(error):
                    raise exchange.from_service(error) from error
                mismatch = exchange.from_service(error)
        assert mismatch is not None, "there is one attempt at least"
        raise mismatch

    async def _unary(self, request: Request, admission: Admission, message: bytes) -> UnaryResponse:
        call: Coroutine[Any, Any, UnaryResponse] = self._rpc.unary(admission, message)
        try:
            return await (until_drain(request.connection, call) if self._long_poll else call)
        except MeshError as error:
            if (response := self._rpc.degraded.to(error)) is None:
                raise
            request.record.code = error.code.name
            return response

    async def _stream(self, exchange: StreamExchange, request: Request, writer: StreamReplyWriter) -> None:
        admission = await self._admit(exchange, request)
        exchange.headers += admission.headers
        with admission:
            await self._stream_admitted(exchange, request, admission, writer)

    async def _stream_admitted(
        self, exchange: StreamExchange, request: Request, admission: Admission, writer: StreamReplyWriter
    ) -> None:
        admission.metadata.extend(exchange.metadata())
        requests = await exchange.requests()
        if exchange.opens_after_s == 0:
            await self._start(exchange, (), writer)
        held = request.connection.held.of(request.client)  # beside request.held, which the next request may lower
        try:
            async with (
                aclosing(requests),
                self._responses(request, admission, requests) as responses,
                ResponseReader(responses, exchange.idle_timer, held) as reader,
            ):
                with (
                    held,
                    self._draining(exchange, request, reader),
                    exchange.watching(reader.stop),
                ):
                    await self._write(exchange, responses, reader, writer)
        except MeshError as error:
            raise exchange.from_service(error) from error

    @asynccontextmanager
    async def _responses(
        self, request: Request, admission: Admission, requests: AsyncGenerator[bytes, None]
    ) -> AsyncIterator[Responses]:
        if self._rpc.method.streams:
            async with self._rpc.stream(admission, requests) as responses:
                yield responses
        else:
            yield SingleResponse(await self._unary(request, admission, await anext(requests)))

    def _draining(
        self, exchange: StreamExchange, request: Request, reader: ResponseReader
    ) -> AbstractContextManager[None]:
        """Returns a context in which the stream ends if the server stops. Responses that have arrived are still
        written.
        """
        if not self._rpc.method.streams:
            return nullcontext()
        return request.connection.on_drain(partial(reader.stop, exchange.stopped()))

    async def _write(
        self, exchange: StreamExchange, responses: Responses, reader: ResponseReader, writer: StreamReplyWriter
    ) -> None:
        """Writes each message as it arrives. The head is sent after the first message, so that an error of this one
        can still have its own status.
        """
        wait_s = exchange.heartbeat_s if writer.started else exchange.opens_after_s
        while True:
            try:
                content = await reader.next(wait_s)
            except EndOfResponses:
                break
            piece = exchange.heartbeat if content is None else await exchange.message(content)
            if not writer.started:
                metadata = () if content is None else await responses.initial_metadata()
                if not await self._start(exchange, metadata, writer):
                    return
            if piece:
                await writer.write(piece)
            if not reader.has_more:
                await writer.flush()
            wait_s = exchange.heartbeat_s
        if not writer.started and not await self._start(exchange, await responses.initial_metadata(), writer):
            return
        if end := exchange.end(self._rpc.response_headers(await responses.trailing_metadata())):
            await writer.write(end)

    async def _start(self, exchange: StreamExchange, metadata: Metadata, writer: StreamReplyWriter) -> bool:
        """Sends the head. Returns False if the client wants no body."""
        exchange.headers += self._rpc.response_headers(metadata)
        status, headers = exchange.head(metadata)
        return await writer.start(status, overridden(headers, exchange.headers))

    def _public_error(self, error: Exception, request: Request) -> MeshError:
        """Returns the error that the client gets. An unexpected one is logged and replaced, because its text may reveal
        internals.
        """
        if isinstance(error, MeshError):
            return error
        log.error("call failed", rpc=self._rpc.method.name, request_id=request.record.request_id, exc_info=error)
        return Internal("Internal error.")
