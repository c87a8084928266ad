"""What clients are told of a failed call, as google.rpc.Status: Connect and gRPC-Web send it each in their own form."""

from typing import Final

import structlog
from googleapis.google.rpc.status_pb import Status

from edge.http.errors import HttpError
from mesh.errors import Code, Internal, MeshError
from mesh.rpc.status import to_status

log = structlog.get_logger()

# The reasons of errors of HTTP whose code is another one for an RPC. Of the first three it is what clients infer from
# the HTTP status themselves: https://connectrpc.com/docs/protocol#http-to-error-code.
_CODES: Final = {
    "ROUTE_NOT_FOUND": Code.UNIMPLEMENTED,
    "METHOD_NOT_ALLOWED": Code.UNKNOWN,
    "CONTENT_TYPE_NOT_SUPPORTED": Code.UNKNOWN,
    "ENCODING_NOT_SUPPORTED": Code.UNIMPLEMENTED,
    "ENCODING_MISSING": Code.INTERNAL,  # https://github.com/grpc/grpc/blob/master/doc/compression.md
    "BODY_TOO_LARGE": Code.RESOURCE_EXHAUSTED,
}

_DEBUG_INFO: Final = "/google.rpc.DebugInfo"


def code_of(error: MeshError) -> Code:
    """The status code of an error."""
    return _CODES.get(error.reason, error.code) if isinstance(error, HttpError) else error.code


def status_of(error: MeshError) -> Status:
    """The status of an error, with its details as the service sent them, less what tells about its inside."""
    if error.received_status:
        received = Status.from_binary(error.received_status).details
        details = [detail for detail in received if not detail.type_url.endswith(_DEBUG_INFO)]
    else:
        details = to_status(error).details
    return Status(code=int(code_of(error)), message=error.message, details=details)


def failure(raised: Exception, rpc: str) -> MeshError:
    """The error that ends a call. One that nobody meant is logged, and nothing of it is told."""
    if isinstance(raised, MeshError):
        return raised
    log.error("call failed", rpc=rpc, exc_info=raised)
    return Internal("Internal error.")
