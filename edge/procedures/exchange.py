"""Calls whose messages come and go in envelopes, of any kind of RPC.

HTTP/1.1 lets a client read the response while it still sends, but few clients do: with most of them a bidirectional
call is one after the other.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from googleapis.google.rpc.status_pb import Status

from edge.errors import Headers, HttpError
from edge.observation import Line
from edge.procedures import coding
from edge.procedures.codec import Codec
from edge.procedures.envelope import COMPRESSED, opened, seal
from edge.procedures.status import code_of, failure, status_of
from edge.reply import Reply
from edge.request import BodyLimits, Receive, Request, check_transfer_coding
from edge.rpc import Rpc
from mesh.errors import Internal, InvalidArgument, Unimplemented


class Dialect(Protocol):
    """What Connect and gRPC-Web do each in their own way, for one call. The names of headers are in lower case."""

    coding_header: bytes
    accepted_codings_header: bytes
    media_type: str

    def timeout_s(self) -> float:
        """The timeout that the client wants, infinite if it names none. Raises InvalidArgument, DeadlineExceeded."""

    def read(self, receive: Receive) -> AsyncGenerator[bytes, None]:
        """The envelopes of the request, in pieces as they come. Raises InvalidArgument, HttpError."""

    def end(self, status: Status | None, trailers: Headers) -> bytes:
        """What ends the response: the status if the call failed, and the metadata after the messages."""

    def write(self, envelope: bytes) -> bytes:
        """An envelope as the client reads it."""


@dataclass(frozen=True, slots=True)
class Enveloped:
    """Serves the calls of one RPC in one codec."""

    rpc: Rpc
    codec: Codec
    limits: BodyLimits

    async def serve(self, dialect: Dialect, request: Request, receive: Receive, line: Line) -> Reply:
        """Answers a request; whatever goes wrong is told at the end of the reply. Raises HttpError 501."""
        check_transfer_coding(request)
        call = _Call(self, dialect, request, line)
        frames = call.frames(receive)
        await anext(frames)
        return Reply(200, [(b"content-type", dialect.media_type.encode()), *call.headers], frames)


class _Call:
    """One call. `headers` are those of the reply."""

    def __init__(self, served: Enveloped, dialect: Dialect, request: Request, line: Line) -> None:
        self._rpc = served.rpc
        self._codec = served.codec
        self._limits = served.limits
        self._dialect = dialect
        self._request = request
        self._line = line
        self._coding = coding.IDENTITY
        self.headers: Headers = []
        self._trailers: Headers = []

    async def frames(self, receive: Receive) -> AsyncGenerator[bytes, None]:
        """The pieces of the reply. The first is empty: it comes when the headers are known."""
        status, begun = None, False
        try:
            async with contextlib.aclosing(self._messages(receive)) as messages:
                async for message in messages:
                    yield b"" if message is None else self._dialect.write(self._seal(message))
                    begun = True
        except Exception as raised:  # noqa: BLE001 # failure() logs what is not meant
            error = failure(raised, self._rpc.method.name)
            self._line.code = code_of(error).name
            status = status_of(error)
            self.headers += self._rpc.response_headers(error.initial_metadata)
            self._trailers = self._rpc.response_headers(error.trailing_metadata)
        if not begun:
            yield b""
        yield self._dialect.write(self._dialect.end(status, self._trailers))

    async def _messages(self, receive: Receive) -> AsyncGenerator[bytes | None, None]:
        """None when the headers are known, then the messages of the response."""
        given = coding.of_header(self._request.headers.get(self._dialect.coding_header))
        admission = await self._rpc.admit(self._request, self._line, self._dialect.timeout_s())
        self.headers += admission.headers
        self._choose_coding(given)
        kind = self._rpc.method.desc.method_kind
        async with contextlib.aclosing(self._requests(receive, given)) as requests:
            if kind == "unary":
                reply = await self._rpc.unary(admission, await self._only(requests))
                self._trailers = self._rpc.response_headers(reply.trailing_metadata)
                self.headers += self._rpc.response_headers(reply.initial_metadata)
                yield None
                yield reply.message
                return
            sent = _one(await self._only(requests)) if kind == "server_streaming" else requests
            async with self._rpc.stream(admission, sent) as responses:
                self.headers += self._rpc.response_headers(await responses.initial_metadata())
                yield None
                async for message in responses:
                    yield message
                self._trailers = self._rpc.response_headers(await responses.trailing_metadata())

    def _choose_coding(self, given: str) -> None:
        self._coding = coding.preferred(self._request.headers.get(self._dialect.accepted_codings_header), given)
        if self._coding != coding.IDENTITY:
            self.headers.append((self._dialect.coding_header, self._coding.encode()))

    async def _requests(self, receive: Receive, given: str) -> AsyncGenerator[bytes, None]:
        """The messages of the request, which are in this coding."""
        body = self._dialect.read(receive)
        async with contextlib.aclosing(body), contextlib.aclosing(opened(body, self._limits)) as envelopes:
            async for flags, content in envelopes:
                self._line.request_bytes += len(content)
                if flags & ~COMPRESSED:
                    raise InvalidArgument(f"A message has the flags {flags:#04x}; a request's has 0 or 1.")
                if flags and given == coding.IDENTITY:
                    raise Internal("A message is compressed, but no header says how.")
                yield self._codec.decode(coding.decompress(content, given, self._limits) if flags else content)

    async def _only(self, requests: AsyncIterator[bytes]) -> bytes:
        """The message of a request that has one. Raises Unimplemented if it has not: grpc's statuscodes.md."""
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                message = await anext(requests, None)
                more = await anext(requests, None)
        except TimeoutError as error:
            text = f"The body did not arrive within {self._limits.timeout_s:g} s."
            raise HttpError(408, text, "BODY_TIMEOUT") from error
        if message is None or more is not None:
            raise Unimplemented("This method takes one message.", reason="MESSAGE_COUNT")
        return message

    def _seal(self, message: bytes) -> bytes:
        content, is_compressed = coding.compress(self._codec.encode(message), self._coding)
        return seal(content, COMPRESSED if is_compressed else 0)


async def _one(message: bytes) -> AsyncIterator[bytes]:
    yield message
