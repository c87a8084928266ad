"""Calls whose messages are in envelopes, of all kinds of RPCs.

HTTP/1.1 lets a client read the response while it still sends the request, but few clients do. With most of them a
bidirectional call is half-duplex: all requests first, then all responses.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from googleapis.google.rpc.status_pb import Status

from edge.call.rpc import Rpc
from edge.http import worker_thread
from edge.http.body_stream import body_stream
from edge.http.decompression import IDENTITY
from edge.http.errors import HttpError
from edge.http.headers import Headers
from edge.http.reply_writer import ReplyWriter
from edge.http.request import Request
from edge.http.stream_limits import StreamLimits
from edge.http.whole_body import BodyLimits
from edge.protocols.driver import CallDriver
from edge.protocols.exchange import StreamExchange, StreamReplyWriter
from edge.protocols.rpc import coding
from edge.protocols.rpc.codec import Codec
from edge.protocols.rpc.envelope import COMPRESSED_FLAG, read_envelopes, write_envelope
from edge.protocols.rpc.status import rpc_code, rpc_status
from mesh.errors import InvalidArgument, MeshError, Metadata, ResourceExhausted, Unimplemented


class Dialect(Protocol):
    """The part of one call that differs between Connect and gRPC-Web. The names of headers are in lower case."""

    coding_header: bytes
    accepted_codings_header: bytes
    media_type: str

    def timeout_s(self) -> float:
        """Returns the client's timeout, infinity if there is none. Raises InvalidArgument or DeadlineExceeded."""

    def read(self, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Yields the bytes of a request's envelopes, from the pieces of its body. Raises InvalidArgument."""

    def end(self, status: Status | None, trailers: Headers) -> bytes:
        """Returns the end of the response: the status if the call failed, and the trailing metadata."""

    def write(self, envelope: bytes) -> bytes:
        """Returns an envelope as the client reads it."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The limits of each message of a request, and of all messages together."""

    message: BodyLimits
    stream: StreamLimits


class EnvelopedCalls:
    """The calls of one RPC in one codec."""

    def __init__(self, rpc: Rpc, codec: Codec, limits: RequestLimits) -> None:
        self.rpc = rpc
        self.codec = codec
        self.limits = limits
        self._driver = CallDriver(rpc, rpc.method.path)

    async def serve(self, dialect: Dialect, request: Request, writer: ReplyWriter) -> None:
        """Answers a request. The end of the response holds the error if the call fails."""
        await self._driver.stream(_Exchange(self, dialect, request), request, writer)


class _Exchange(StreamExchange):
    def __init__(self, served: EnvelopedCalls, dialect: Dialect, request: Request) -> None:
        super().__init__()
        self._served = served
        self._dialect = dialect
        self._request = request
        self._request_coding = self._response_coding = IDENTITY

    def read_head(self) -> None:
        headers = self._request.headers
        self._request_coding = coding.parse(headers.get(self._dialect.coding_header))
        accepted = headers.get(self._dialect.accepted_codings_header)
        self._response_coding = coding.choose(accepted, self._request_coding)
        self.requested_s = self._dialect.timeout_s()

    async def requests(self) -> AsyncGenerator[bytes, None]:
        if self._served.rpc.method.desc.method_kind in ("client_streaming", "bidi_streaming"):
            return self._messages()
        async with contextlib.aclosing(self._messages()) as messages:
            return _stream_of(await self._single_message(messages))

    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        headers = [(b"content-type", self._dialect.media_type.encode())]
        if self._response_coding != IDENTITY:
            headers.append((self._dialect.coding_header, self._response_coding.encode()))
        return 200, headers

    async def message(self, content: bytes) -> bytes:
        written = await worker_thread.run(len(content), self._served.codec.encode, content)
        sent, is_compressed = await coding.compress(written, self._response_coding)
        return self._dialect.write(write_envelope(sent, COMPRESSED_FLAG if is_compressed else 0))

    def end(self, trailers: Headers) -> bytes:
        return self._dialect.write(self._dialect.end(None, trailers))

    async def fail(self, error: MeshError, writer: StreamReplyWriter) -> None:
        """Ends the response with the status of the error. The head is that of a success."""
        self._request.record.code = rpc_code(error).name
        response_headers = self._served.rpc.response_headers
        if not writer.started:
            status, headers = self.head(())
            await writer.start(status, [*headers, *self.headers, *response_headers(error.initial_metadata)])
        ended = self._dialect.end(rpc_status(error), response_headers(error.trailing_metadata))
        await writer.write(self._dialect.write(ended))

    async def _messages(self) -> AsyncGenerator[bytes, None]:
        count, limits = 0, self._served.limits
        body = self._dialect.read(body_stream(self._request, limits.stream, self.idle_timer))
        async with (
            contextlib.aclosing(body),
            contextlib.aclosing(read_envelopes(body, limits.message, self._request.held)) as envelopes,
        ):
            async for flags, content in envelopes:
                count += 1
                if count > limits.stream.messages_max:
                    text = f"The stream has more than {limits.stream.messages_max} messages."
                    metadata = {"limit_messages": str(limits.stream.messages_max)}
                    raise ResourceExhausted(text, reason="TOO_MANY_MESSAGES", metadata=metadata)
                message = await self._decompressed(flags, content)
                yield await worker_thread.run(len(message), self._served.codec.decode, message)

    async def _decompressed(self, flags: int, content: bytes) -> bytes:
        if not flags:
            return content
        if flags != COMPRESSED_FLAG:
            text = f"A message has the flags {flags:#04x}; they can be 0 or 1."
            raise InvalidArgument(text, reason="MALFORMED_MESSAGE")
        if self._request_coding == IDENTITY:
            raise HttpError(400, "A message is compressed, but no header names the coding.", "ENCODING_MISSING")
        return await coding.decompress(content, self._request_coding, self._served.limits.message)

    async def _single_message(self, messages: AsyncIterator[bytes]) -> bytes:
        """Returns the single message of a request. Raises Unimplemented if there is none or more than one, as
        statuscodes.md of gRPC demands.
        """
        timeout_s = self._served.limits.message.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                message = await anext(messages, None)
                more = await anext(messages, None)
        except TimeoutError as error:
            raise HttpError(408, f"The body did not arrive within {timeout_s:g} s.", "BODY_TIMEOUT") from error
        if message is None or more is not None:
            raise Unimplemented("This method takes exactly one message.", reason="MESSAGE_COUNT")
        return message


async def _stream_of(message: bytes) -> AsyncGenerator[bytes, None]:
    yield message
