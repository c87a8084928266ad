"""Errors of requests that reached no RPC, in the RPC protocol of the request."""

from typing import Final

from protobuf import Registry

from edge.http.reply import Reply
from edge.http.request import Request
from edge.protocols.connect import dialect as connect_stream
from edge.protocols.connect import error_reply
from edge.protocols.connect.request_headers import VERSION_HEADER
from edge.protocols.grpc_web import dialect as grpc_web
from edge.protocols.grpc_web.dialect import GrpcWeb
from edge.protocols.rpc.status import rpc_status
from mesh.errors import MeshError

_BINARY: Final = "application/proto"  # a media type of Connect that REST does not have


def protocol_error_reply(error: MeshError, request: Request, details: Registry) -> Reply | None:
    """Returns the reply, None if the request is not in an RPC protocol. `details` has the types of errors' details."""
    media_type = request.media_type()
    if media_type.startswith(grpc_web.BINARY):
        call = GrpcWeb(request)
        return Reply(200, [(b"content-type", call.media_type.encode())], call.write(call.end(rpc_status(error), [])))
    is_connect = VERSION_HEADER in request.headers or media_type == _BINARY
    if is_connect or media_type.startswith(connect_stream.PREFIX):
        return error_reply.reply(error, request, details)
    return None
