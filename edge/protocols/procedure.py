"""The endpoint of one RPC: it finds the protocol that a request is in."""

from collections.abc import Callable
from functools import partial

from protobuf import Registry

from edge.call.rpc import Rpc
from edge.http.request import Request
from edge.http.response import Response
from edge.protocols.connect import dialect as connect_stream
from edge.protocols.connect import error_reply
from edge.protocols.connect import unary as connect_unary
from edge.protocols.connect.dialect import ConnectStream
from edge.protocols.connect.unary import ConnectUnary
from edge.protocols.grpc_web import dialect as grpc_web
from edge.protocols.grpc_web.dialect import GrpcWeb
from edge.protocols.refusal import refusal
from edge.protocols.rpc.codec import JSON, PROTO, Codecs, UnknownCodec
from edge.protocols.rpc.enveloped import Dialect, Enveloped, Limits
from edge.protocols.rpc.status import code_of
from edge.protojson.readers import Readers
from mesh.validation import Validator


class Procedure:
    """Serves one RPC under its own name, to clients of Connect and of gRPC-Web."""

    def __init__(self, rpc: Rpc, readers: Readers, validator: Validator, details: Registry, limits: Limits) -> None:
        """`readers` ignore unknown fields, `details` knows the types of errors' details. Raises
        protovalidate.CompilationError if a rule of the contract is wrong.
        """
        self.name = rpc.method.name
        self._rpc = rpc
        self._details = details
        codecs = Codecs(rpc.method, readers, validator)
        self._unary = ConnectUnary(rpc, codecs, details, limits.message)
        self._in_unary: list[str] = []
        self._in_envelopes: dict[str, tuple[Enveloped, Callable[[Request], Dialect]]] = {}
        for name in (PROTO, JSON):
            enveloped = Enveloped(rpc, codecs[name], limits)
            if rpc.method.desc.method_kind == "unary":
                self._in_unary.append(f"{connect_unary.PREFIX}{name}")
            else:
                self._in_envelopes[f"{connect_stream.PREFIX}{name}"] = enveloped, partial(ConnectStream, details)
            for media_type in (grpc_web.BINARY, grpc_web.TEXT):
                self._in_envelopes[f"{media_type}+{name}"] = enveloped, GrpcWeb
        for media_type in (grpc_web.BINARY, grpc_web.TEXT):
            self._in_envelopes[media_type] = self._in_envelopes[f"{media_type}+{PROTO}"]

    async def serve(self, request: Request, values: tuple[str, ...], response: Response) -> None:
        """Answers a request, also one in no protocol that this RPC has."""
        media_type = request.media_type()
        if request.method != "POST" or media_type in self._in_unary:
            await self._unary.serve(request, response)
        elif media_type in self._in_envelopes:
            enveloped, dialect = self._in_envelopes[media_type]
            await enveloped.serve(dialect(request), request, response)
        else:
            self._rpc.start_record(request.record, self._rpc.method.path)
            error = UnknownCodec((*self._in_unary, *self._in_envelopes))
            request.record.code = code_of(error).name
            reply = refusal(error, request, self._details) or error_reply.reply(error, request, self._details)
            await response.reply(reply)
