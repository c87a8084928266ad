"""The status of a failed call as google.rpc.Status, which Connect and gRPC-Web each send in their own format."""

from typing import Final

from googleapis.google.rpc.status_pb import Status

from edge.http.errors import HttpError
from mesh.errors import Code, MeshError
from mesh.rpc.status import to_status

# The reasons of HTTP errors that have another code in an RPC protocol. The first three have the code that clients infer
# from the HTTP status: https://connectrpc.com/docs/protocol#http-to-error-code.
_CODES: Final = {
    "ROUTE_NOT_FOUND": Code.UNIMPLEMENTED,
    "METHOD_NOT_ALLOWED": Code.UNKNOWN,
    "CONTENT_TYPE_NOT_SUPPORTED": Code.UNKNOWN,
    "ENCODING_NOT_SUPPORTED": Code.UNIMPLEMENTED,
    "ENCODING_MISSING": Code.INTERNAL,  # https://github.com/grpc/grpc/blob/master/doc/compression.md
    "BODY_TOO_LARGE": Code.RESOURCE_EXHAUSTED,
}

_DEBUG_INFO: Final = "/google.rpc.DebugInfo"


def rpc_code(error: MeshError) -> Code:
    """Returns the status code of an error in an RPC protocol."""
    return _CODES.get(error.reason, error.code) if isinstance(error, HttpError) else error.code


def rpc_status(error: MeshError) -> Status:
    """Returns the status of an error, with the details that the service sent, except DebugInfo."""
    if error.received_status:
        received = Status.from_binary(error.received_status).details
        details = [detail for detail in received if not detail.type_url.endswith(_DEBUG_INFO)]
    else:
        details = to_status(error).details
    return Status(code=int(rpc_code(error)), message=error.message, details=details)
