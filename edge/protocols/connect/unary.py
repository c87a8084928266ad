"""Connect's unary calls: https://connectrpc.com/docs/protocol#unary-request-response-rpcs."""

from functools import partial
from typing import Final

from protobuf import Registry

from edge.call.rpc import Rpc
from edge.http import worker_thread
from edge.http.headers import Headers
from edge.http.reply import Reply
from edge.http.reply_writer import ReplyWriter
from edge.http.request import Request
from edge.http.whole_body import BodyLimits, read_body
from edge.protocols.connect import error_reply, message_query
from edge.protocols.connect.request_headers import VERSION_HEADER, check_version, timeout_s
from edge.protocols.driver import CallDriver
from edge.protocols.exchange import Attempt, SingleExchange
from edge.protocols.rpc import coding
from edge.protocols.rpc.codec import Codec, Codecs
from edge.protocols.rpc.status import rpc_code
from edge.reply.cache_control import cache_control
from mesh.client import UnaryResponse
from mesh.errors import MeshError, Metadata

PREFIX: Final = "application/"
"""The part of the media type before the codec's name."""

_TRAILER: Final = b"trailer-"
_READS: Final = ("GET", "HEAD")


class ConnectUnary:
    """The Connect endpoint of one unary RPC."""

    def __init__(self, rpc: Rpc, codecs: Codecs, details: Registry, limits: BodyLimits) -> None:
        """`details` has the types of errors' details."""
        self.codecs = codecs
        self.details = details
        self.limits = limits
        self.read_cache_control = cache_control(rpc.method.policy, is_read=True)
        self._rpc = rpc
        self._driver = CallDriver(rpc, rpc.method.path)

    async def serve(self, request: Request, writer: ReplyWriter) -> None:
        """Answers a request, with an error in Connect's JSON if it fails."""
        exchange = _Get(self, request) if request.method in _READS else _Post(self, request)
        await writer.reply(await self._driver.answer(exchange, request))

    def metadata_headers(self, initial: Metadata, trailing: Metadata) -> Headers:
        """Returns the headers for the metadata of a response; those for trailing metadata have a prefix."""
        prefixed = [(_TRAILER + name, value) for name, value in self._rpc.response_headers(trailing)]
        return [*self._rpc.response_headers(initial), *prefixed]


class _Exchange(SingleExchange):
    def __init__(self, served: ConnectUnary, request: Request) -> None:
        self._served = served
        self._request = request
        self._codec_name = ""
        self._codec: Codec

    def reply(self, response: UnaryResponse) -> Reply:
        headers = [(b"content-type", f"{PREFIX}{self._codec_name}".encode())]
        headers += self._served.metadata_headers(response.initial_metadata, response.trailing_metadata)
        return Reply(200, headers, self._codec.encode(response.message))

    def fail(self, error: MeshError) -> Reply:
        self._request.record.code = rpc_code(error).name
        reply = error_reply.reply(error, self._request, self._served.details)
        reply.headers += self._served.metadata_headers(error.initial_metadata, error.trailing_metadata)
        return reply

    def _choose_codec(self, name: str) -> None:
        self._codec_name, self._codec = name, self._served.codecs[name]

    async def _decode(self, content: bytes) -> bytes:
        return await worker_thread.run(len(content), self._codec.decode, content)


class _Post(_Exchange):
    def read_head(self) -> None:
        self._choose_codec(self._request.media_type().removeprefix(PREFIX))
        check_version(self._request.headers.get(VERSION_HEADER), b"1")
        coding.parse(self._request.headers.get(b"content-encoding"))
        self.requested_s = timeout_s(self._request.headers)

    async def attempts(self) -> list[Attempt]:
        content = await read_body(self._request, self._served.limits)
        return [partial(self._decode, content)]


class _Get(_Exchange):
    """A call of an RPC without side effects, whose message is in the query."""

    def read_head(self) -> None:
        self._query = message_query.parse(self._request.query)
        self._choose_codec(self._query.codec)
        self.requested_s = timeout_s(self._request.headers)

    async def attempts(self) -> list[Attempt]:
        content = await coding.decompress(self._query.content, self._query.coding, self._served.limits)
        self._request.held.set(len(content))
        return [partial(self._decode, content)]

    def reply(self, response: UnaryResponse) -> Reply:
        reply = super().reply(response)
        if cache := self._served.read_cache_control:
            reply.headers.append((b"cache-control", cache))
        return reply
