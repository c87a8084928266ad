"""The endpoint of one RPC, for all RPC protocols."""

from collections.abc import Callable
from functools import partial

from edge.call.rpc import Rpc
from edge.http.reply_writer import ReplyWriter
from edge.http.request import Request
from edge.protocols.connect import dialect as connect_stream
from edge.protocols.connect import error_reply
from edge.protocols.connect import unary as connect_unary
from edge.protocols.connect.dialect import ConnectStream
from edge.protocols.connect.unary import ConnectUnary
from edge.protocols.grpc_web import dialect as grpc_web
from edge.protocols.grpc_web.dialect import GrpcWeb
from edge.protocols.protocol_error import protocol_error_reply
from edge.protocols.rpc.codec import JSON, PROTO, Codecs, UnsupportedCodec
from edge.protocols.rpc.enveloped_calls import Dialect, EnvelopedCalls, RequestLimits
from edge.protocols.rpc.status import rpc_code
from edge.protojson.readers import Readers
from edge.protojson.writer import MessageWriter
from mesh.validation import Validator


class Procedure:
    """The endpoint of one RPC under its own name, for clients of Connect and of gRPC-Web."""

    def __init__(
        self, rpc: Rpc, readers: Readers, validator: Validator, messages: MessageWriter, limits: RequestLimits
    ) -> None:
        """`readers` ignore unknown fields, `messages` has the types of errors' details, too. Raises
        protovalidate.CompilationError if a rule of the contract is invalid.
        """
        self.name = rpc.method.name
        self._rpc = rpc
        self._details = details = messages.registry
        codecs = Codecs(rpc.method, readers, validator, messages)
        self._unary = ConnectUnary(rpc, codecs, details, limits.message)
        self._unary_types: list[str] = []
        self._enveloped: dict[str, tuple[EnvelopedCalls, Callable[[Request], Dialect]]] = {}
        for name in (PROTO, JSON):
            enveloped = EnvelopedCalls(rpc, codecs[name], limits)
            if rpc.method.desc.method_kind == "unary":
                self._unary_types.append(f"{connect_unary.PREFIX}{name}")
            else:
                self._enveloped[f"{connect_stream.PREFIX}{name}"] = enveloped, partial(ConnectStream, details)
            for media_type in (grpc_web.BINARY, grpc_web.TEXT):
                self._enveloped[f"{media_type}+{name}"] = enveloped, GrpcWeb
        for media_type in (grpc_web.BINARY, grpc_web.TEXT):
            self._enveloped[media_type] = self._enveloped[f"{media_type}+{PROTO}"]

    async def serve(self, request: Request, values: tuple[str, ...], writer: ReplyWriter) -> None:
        """Answers a request by the protocol of its media type, with an error if the RPC does not support it."""
        media_type = request.media_type()
        if request.method != "POST" or media_type in self._unary_types:
            await self._unary.serve(request, writer)
        elif media_type in self._enveloped:
            enveloped, dialect = self._enveloped[media_type]
            await enveloped.serve(dialect(request), request, writer)
        else:
            self._rpc.start_record(request.record, self._rpc.method.path)
            error = UnsupportedCodec((*self._unary_types, *self._enveloped))
            request.record.code = rpc_code(error).name
            reply = protocol_error_reply(error, request, self._details) or error_reply.reply(
                error, request, self._details
            )
            await writer.reply(reply)
