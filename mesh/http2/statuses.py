"""The gRPC statuses of calls that end without one: gRPC's PROTOCOL-HTTP2.md and http-grpc-status-mapping.md."""

from typing import Final

from mesh.errors import Code
from mesh.http2.faults import ErrorCode
from mesh.rpc.call_error import CallError

_OF_HTTP: Final = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}

_OF_RESET: Final[dict[int, Code]] = {
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}


def of_http_status(status: int) -> CallError:
    """Returns the error of an HTTP response without grpc-status."""
    return CallError(_OF_HTTP.get(status, Code.UNKNOWN), f"Received http2 header with status: {status}")


def of_reset(code: int) -> CallError:
    """Returns the error of a stream that the peer reset."""
    return CallError(_OF_RESET.get(code, Code.INTERNAL), f"RST_STREAM with the error code {code}")


def broken(text: str) -> CallError:
    """Returns the error of a response that violates the protocol."""
    return CallError(Code.INTERNAL, text)


def unavailable(text: str) -> CallError:
    """Returns the error of a call whose connection failed."""
    return CallError(Code.UNAVAILABLE, text)


def deadline_exceeded() -> CallError:
    """Returns the error of a call whose deadline has passed."""
    return CallError(Code.DEADLINE_EXCEEDED, "the deadline has passed")


def cancelled() -> CallError:
    """Returns the error of a call that we cancelled."""
    return CallError(Code.CANCELLED, "the call was cancelled")
