"""Calls whose messages come and go in envelopes, of any kind of RPC.

HTTP/1.1 lets a client read the response while it still sends, but few clients do: with most of them a bidirectional
call is one after the other.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from googleapis.google.rpc.status_pb import Status

from edge.call import large_work
from edge.call.response_reader import ResponseReader
from edge.call.rpc import Rpc
from edge.call.upstream import Responses
from edge.http.access_record import AccessRecord
from edge.http.activity import Activity
from edge.http.body_stream import pieces
from edge.http.draining import shutting_down
from edge.http.errors import HttpError
from edge.http.headers import Headers
from edge.http.reply import Reply
from edge.http.request import Receive, Request
from edge.http.stream_limits import StreamLimits
from edge.http.whole_body import BodyLimits
from edge.protocols.rpc import coding
from edge.protocols.rpc.codec import Codec
from edge.protocols.rpc.envelope import COMPRESSED, opened, seal
from edge.protocols.rpc.status import code_of, failure, status_of
from mesh.errors import InvalidArgument, ResourceExhausted, Unimplemented


class Dialect(Protocol):
    """What Connect and gRPC-Web do each in their own way, for one call. The names of headers are in lower case."""

    coding_header: bytes
    accepted_codings_header: bytes
    media_type: str

    def timeout_s(self) -> float:
        """The timeout that the client wants, infinite if it names none. Raises InvalidArgument, DeadlineExceeded."""

    def read(self, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The envelopes of a request, from the pieces of its body. Raises InvalidArgument."""

    def end(self, status: Status | None, trailers: Headers) -> bytes:
        """What ends the response: the status if the call failed, and the metadata after the messages."""

    def write(self, envelope: bytes) -> bytes:
        """An envelope as the client reads it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on each message of a request, and on all of them."""

    message: BodyLimits
    stream: StreamLimits


@dataclass(frozen=True, slots=True)
class Enveloped:
    """Serves the calls of one RPC in one codec."""

    rpc: Rpc
    codec: Codec
    limits: Limits

    async def serve(self, dialect: Dialect, request: Request, receive: Receive, record: AccessRecord) -> Reply:
        """Answers a request; whatever goes wrong is told at the end of the reply."""
        call = _Call(self, dialect, request, record)
        frames = call.frames(receive)
        await anext(frames)
        return Reply(200, [(b"content-type", dialect.media_type.encode()), *call.headers], frames)


class _Call:
    """One call. `headers` are those of the reply."""

    def __init__(self, served: Enveloped, dialect: Dialect, request: Request, record: AccessRecord) -> None:
        self._rpc = served.rpc
        self._codec = served.codec
        self._limits = served.limits
        self._dialect = dialect
        self._request = request
        self._record = record
        self._activity = Activity()
        self._coding = coding.IDENTITY
        self._leads = False
        self.headers: Headers = []
        self._trailers: Headers = []

    async def frames(self, receive: Receive) -> AsyncGenerator[bytes, None]:
        """The pieces of the reply. The first is empty: it comes when the headers are known."""
        status, begun = None, False
        try:
            async with contextlib.aclosing(self._responses(receive)) as responses:
                async for message in responses:
                    envelope = self._dialect.write(await self._seal(message))
                    if not begun:
                        begun = True
                        yield b""
                    yield envelope
        except Exception as raised:  # noqa: BLE001 # failure() logs what is not meant
            error = failure(raised, self._rpc.method.name)
            self._record.code = code_of(error).name
            status = status_of(error)
            self.headers += self._rpc.response_headers(error.initial_metadata)
            self._trailers = self._rpc.response_headers(error.trailing_metadata)
        if not begun:
            yield b""
        yield self._dialect.write(self._dialect.end(status, self._trailers))

    async def _responses(self, receive: Receive) -> AsyncGenerator[bytes, None]:
        """The messages of the response. When there is the first the headers are known, after the last the trailers."""
        given = coding.of_header(self._request.headers.get(self._dialect.coding_header))
        admission = await self._rpc.admit(self._request, self._record, self._dialect.timeout_s())
        self.headers += admission.headers
        self._choose_coding(given)
        kind = self._rpc.method.desc.method_kind
        async with contextlib.aclosing(self._requests(receive, given)) as requests:
            if kind == "unary":
                reply = await self._rpc.unary(admission, await self._only(requests))
                self.headers += self._rpc.response_headers(reply.initial_metadata)
                self._trailers = self._rpc.response_headers(reply.trailing_metadata)
                yield reply.message
                return
            sent = _one(await self._only(requests)) if kind == "server_streaming" else requests
            async with (
                self._rpc.stream(admission, sent) as responses,
                ResponseReader(responses, self._activity) as feed,
            ):
                with self._request.connection.draining(partial(feed.stop, shutting_down())):
                    async for message in feed.messages():
                        await self._lead(responses)
                        yield message
                    await self._lead(responses)
                    self._trailers = self._rpc.response_headers(await responses.trailing_metadata())

    def _choose_coding(self, given: str) -> None:
        self._coding = coding.preferred(self._request.headers.get(self._dialect.accepted_codings_header), given)
        if self._coding != coding.IDENTITY:
            self.headers.append((self._dialect.coding_header, self._coding.encode()))

    async def _lead(self, responses: Responses) -> None:
        """Takes the metadata before the first message, once."""
        if not self._leads:
            self._leads = True
            self.headers += self._rpc.response_headers(await responses.initial_metadata())

    async def _requests(self, receive: Receive, given: str) -> AsyncGenerator[bytes, None]:
        """The messages of the request, which are in this coding."""
        count, limit = 0, self._limits.stream.messages_max
        body = self._dialect.read(pieces(self._request, receive, self._limits.stream, self._activity, self._record))
        async with (
            contextlib.aclosing(body),
            contextlib.aclosing(opened(body, self._limits.message, self._request.held)) as envelopes,
        ):
            async for flags, content in envelopes:
                count += 1
                if count > limit:
                    text = f"The stream has more than {limit} messages."
                    raise ResourceExhausted(text, reason="TOO_MANY_MESSAGES", metadata={"limit_messages": str(limit)})
                message = self._unsealed(flags, content, given)
                yield await large_work.run(len(message), partial(self._codec.decode, message))

    def _unsealed(self, flags: int, content: bytes, given: str) -> bytes:
        if not flags:
            return content
        if flags != COMPRESSED:
            raise InvalidArgument(
                f"A message has the flags {flags:#04x}; they can be 0 or 1.", reason="MALFORMED_MESSAGE"
            )
        if given == coding.IDENTITY:
            raise HttpError(400, "A message is compressed, but no header says how.", "ENCODING_MISSING")
        return coding.decompress(content, given, self._limits.message)

    async def _only(self, requests: AsyncIterator[bytes]) -> bytes:
        """The message of a request that has one. Raises Unimplemented if it has not: grpc's statuscodes.md."""
        try:
            async with asyncio.timeout(self._limits.message.timeout_s):
                message = await anext(requests, None)
                more = await anext(requests, None)
        except TimeoutError as error:
            text = f"The body did not arrive within {self._limits.message.timeout_s:g} s."
            raise HttpError(408, text, "BODY_TIMEOUT") from error
        if message is None or more is not None:
            raise Unimplemented("This method takes one message.", reason="MESSAGE_COUNT")
        return message

    async def _seal(self, message: bytes) -> bytes:
        written = await large_work.run(len(message), partial(self._codec.encode, message))
        content, is_compressed = await coding.compress(written, self._coding)
        return seal(content, COMPRESSED if is_compressed else 0)


async def _one(message: bytes) -> AsyncIterator[bytes]:
    yield message
