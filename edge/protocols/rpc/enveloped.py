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
from edge.call.rpc import Rpc
from edge.http.body_stream import body_stream
from edge.http.errors import HttpError
from edge.http.headers import Headers
from edge.http.request import Request
from edge.http.response import Response
from edge.http.stream_limits import StreamLimits
from edge.http.whole_body import BodyLimits
from edge.protocols.driver import CallDriver
from edge.protocols.exchange import StreamExchange, StreamResponse
from edge.protocols.rpc import coding
from edge.protocols.rpc.codec import Codec
from edge.protocols.rpc.envelope import COMPRESSED, opened, seal
from edge.protocols.rpc.status import code_of, status_of
from mesh.errors import InvalidArgument, MeshError, Metadata, ResourceExhausted, Unimplemented


class Dialect(Protocol):
    """What Connect and gRPC-Web do each in their own way, for one call. The names of headers are in lower case."""

    coding_header: bytes
    accepted_codings_header: bytes
    media_type: str

    def timeout_s(self) -> float:
        """Returns the timeout that the client asks for, infinite if it names none. Raises InvalidArgument,
        DeadlineExceeded.
        """

    def read(self, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Yields the envelopes of a request, from the pieces of its body. Raises InvalidArgument."""

    def end(self, status: Status | None, trailers: Headers) -> bytes:
        """Returns what ends the response: the status if the call failed, and the metadata after the messages."""

    def write(self, envelope: bytes) -> bytes:
        """Returns an envelope as the client reads it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on each message of a request, and on all of them."""

    message: BodyLimits
    stream: StreamLimits


class Enveloped:
    """Serves the calls of one RPC in one codec."""

    def __init__(self, rpc: Rpc, codec: Codec, limits: Limits) -> None:
        self.rpc = rpc
        self.codec = codec
        self.limits = limits
        self._driver = CallDriver(rpc, rpc.method.path)

    async def serve(self, dialect: Dialect, request: Request, response: Response) -> None:
        """Answers a request; whatever goes wrong is told at the end of the response."""
        await self._driver.stream(_Exchange(self, dialect, request), request, response)


class _Exchange(StreamExchange):
    def __init__(self, served: Enveloped, dialect: Dialect, request: Request) -> None:
        super().__init__()
        self._served = served
        self._dialect = dialect
        self._request = request
        self._request_coding = self._response_coding = coding.IDENTITY

    def begin(self) -> float:
        headers = self._request.headers
        self._request_coding = coding.of_header(headers.get(self._dialect.coding_header))
        accepted = headers.get(self._dialect.accepted_codings_header)
        self._response_coding = coding.preferred(accepted, self._request_coding)
        return self._dialect.timeout_s()

    async def requests(self) -> AsyncGenerator[bytes, None]:
        if self._served.rpc.method.desc.method_kind in ("client_streaming", "bidi_streaming"):
            return self._messages()
        async with contextlib.aclosing(self._messages()) as messages:
            return _one(await self._only(messages))

    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        headers = [(b"content-type", self._dialect.media_type.encode())]
        if self._response_coding != coding.IDENTITY:
            headers.append((self._dialect.coding_header, self._response_coding.encode()))
        return 200, headers

    async def message(self, content: bytes) -> bytes:
        written = await large_work.run(len(content), partial(self._served.codec.encode, content))
        sent, is_compressed = await coding.compress(written, self._response_coding)
        return self._dialect.write(seal(sent, COMPRESSED if is_compressed else 0))

    def end(self, trailers: Headers) -> bytes:
        return self._dialect.write(self._dialect.end(None, trailers))

    async def fail(self, error: MeshError, response: StreamResponse) -> None:
        """Ends the response with the status, after a head that is that of a success."""
        self._request.record.code = code_of(error).name
        response_headers = self._served.rpc.response_headers
        if not response.started:
            status, headers = self.head(())
            await response.start(status, [*headers, *self.headers, *response_headers(error.initial_metadata)])
        ended = self._dialect.end(status_of(error), response_headers(error.trailing_metadata))
        await response.write(self._dialect.write(ended))

    async def _messages(self) -> AsyncGenerator[bytes, None]:
        count, limits = 0, self._served.limits
        body = self._dialect.read(body_stream(self._request, limits.stream, self.activity))
        async with (
            contextlib.aclosing(body),
            contextlib.aclosing(opened(body, limits.message, self._request.held)) as envelopes,
        ):
            async for flags, content in envelopes:
                count += 1
                if count > limits.stream.messages_max:
                    text = f"The stream has more than {limits.stream.messages_max} messages."
                    metadata = {"limit_messages": str(limits.stream.messages_max)}
                    raise ResourceExhausted(text, reason="TOO_MANY_MESSAGES", metadata=metadata)
                message = self._unsealed(flags, content)
                yield await large_work.run(len(message), partial(self._served.codec.decode, message))

    def _unsealed(self, flags: int, content: bytes) -> bytes:
        if not flags:
            return content
        if flags != COMPRESSED:
            text = f"A message has the flags {flags:#04x}; they can be 0 or 1."
            raise InvalidArgument(text, reason="MALFORMED_MESSAGE")
        if self._request_coding == coding.IDENTITY:
            raise HttpError(400, "A message is compressed, but no header says how.", "ENCODING_MISSING")
        return coding.decompress(content, self._request_coding, self._served.limits.message)

    async def _only(self, messages: AsyncIterator[bytes]) -> bytes:
        """Returns the message of a request that has one. Raises Unimplemented if it has another number of them: grpc's
        statuscodes.md.
        """
        timeout_s = self._served.limits.message.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                message = await anext(messages, None)
                more = await anext(messages, None)
        except TimeoutError as error:
            raise HttpError(408, f"The body did not arrive within {timeout_s:g} s.", "BODY_TIMEOUT") from error
        if message is None or more is not None:
            raise Unimplemented("This method takes one message.", reason="MESSAGE_COUNT")
        return message


async def _one(message: bytes) -> AsyncGenerator[bytes, None]:
    yield message
