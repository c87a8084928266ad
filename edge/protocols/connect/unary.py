"""Connect's unary calls: https://connectrpc.com/docs/protocol#unary-request-response-rpcs."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from protobuf import Registry

from edge.call import large_work
from edge.call.rpc import Admission, Rpc
from edge.http.access_record import AccessRecord
from edge.http.headers import Headers
from edge.http.reply import Reply
from edge.http.request import Receive, Request
from edge.http.whole_body import BodyLimits, read_body
from edge.protocols.connect import error as connect_error
from edge.protocols.connect import query as connect_query
from edge.protocols.connect.version import VERSION_HEADER, check_version, timeout_s
from edge.protocols.rpc import coding
from edge.protocols.rpc.codec import Codec, Codecs
from edge.protocols.rpc.status import code_of, failure
from edge.reply.cache_control import cache_control
from mesh.errors import Metadata

PREFIX: Final = "application/"
"""What stands before the codec's name in the media type."""

_TRAILER: Final = b"trailer-"
_READS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class ConnectUnary:
    """Serves the calls of one RPC that takes one message and answers one."""

    rpc: Rpc
    codecs: Codecs
    details: Registry
    limits: BodyLimits

    async def serve(self, request: Request, receive: Receive, record: AccessRecord) -> Reply:
        """Answers a request, also with what went wrong."""
        try:
            if request.method in _READS:
                return await self._get(request, record)
            return await self._post(request, receive, record)
        except Exception as raised:  # noqa: BLE001 # failure() logs what is not meant
            error = failure(raised, self.rpc.method.name)
            record.code = code_of(error).name
            reply = connect_error.reply(error, request, self.details)
            reply.headers += self._metadata(error.initial_metadata, error.trailing_metadata)
            return reply

    async def _get(self, request: Request, record: AccessRecord) -> Reply:
        query = connect_query.read(request.query, self.limits)
        codec = self.codecs[query.codec]
        admission = await self.rpc.admit(request, record, timeout_s(request.headers))
        reply = await self._call(admission, query.codec, codec, query.content)
        if cache := cache_control(self.rpc.method.policy, is_read=True):
            reply.headers.append((b"cache-control", cache))
        return reply

    async def _post(self, request: Request, receive: Receive, record: AccessRecord) -> Reply:
        name = request.media_type().removeprefix(PREFIX)
        codec = self.codecs[name]
        check_version(request.headers.get(VERSION_HEADER), b"1")
        coding.of_header(request.headers.get(b"content-encoding"))
        admission = await self.rpc.admit(request, record, timeout_s(request.headers))
        content = await read_body(request, receive, self.limits)
        record.request_bytes = len(content)
        return await self._call(admission, name, codec, content)

    async def _call(self, admission: Admission, name: str, codec: Codec, content: bytes) -> Reply:
        message = await large_work.run(len(content), partial(codec.decode, content))
        answer = await self.rpc.unary(admission, message)
        headers = [(b"content-type", f"{PREFIX}{name}".encode()), *admission.headers]
        headers += self._metadata(answer.initial_metadata, answer.trailing_metadata)
        body = await large_work.run(len(answer.message), partial(codec.encode, answer.message))
        return Reply(200, headers, body)

    def _metadata(self, initial: Metadata, trailing: Metadata) -> Headers:
        prefixed = [(_TRAILER + name, value) for name, value in self.rpc.response_headers(trailing)]
        return [*self.rpc.response_headers(initial), *prefixed]
