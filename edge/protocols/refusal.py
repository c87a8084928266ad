"""What is said to clients of RPC protocols whose request reached no RPC, in the protocol that it is in."""

from typing import Final

from protobuf import Registry

from edge.http.reply import Reply
from edge.http.request import Request
from edge.protocols.connect import dialect as connect_stream
from edge.protocols.connect import error_reply
from edge.protocols.connect.version import VERSION_HEADER
from edge.protocols.grpc_web import dialect as grpc_web
from edge.protocols.grpc_web.dialect import GrpcWeb
from edge.protocols.rpc.status import status_of
from mesh.errors import MeshError

_BINARY: Final = "application/proto"  # that REST has not


def refusal(error: MeshError, request: Request, details: Registry) -> Reply | None:
    """The reply, None if the request is in no such protocol. `details` knows the types of the errors' details."""
    media_type = request.media_type()
    if media_type.startswith(grpc_web.BINARY):
        call = GrpcWeb(request)
        return Reply(200, [(b"content-type", call.media_type.encode())], call.write(call.end(status_of(error), [])))
    is_connect = VERSION_HEADER in request.headers or media_type == _BINARY
    if is_connect or media_type.startswith(connect_stream.PREFIX):
        return error_reply.reply(error, request, details)
    return None
