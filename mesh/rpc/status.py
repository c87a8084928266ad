"""Conversion of MeshError to and from google.rpc.Status, which gRPC sends in the trailer grpc-status-details-bin.

https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto describes the details.
"""

from collections.abc import Iterable, Iterator

from googleapis.google.rpc.error_details_pb import BadRequest, ErrorInfo, RetryInfo
from googleapis.google.rpc.status_pb import Status
from protobuf import Message
from protobuf.wkt import Any, Duration

from mesh.errors import FieldViolation, MeshError, error_for

DETAILS_TRAILER = "grpc-status-details-bin"
ERROR_DOMAIN = "meshwright"

# gRPC clients accept 8 KiB of metadata by default. It holds the status as base64, and its message a second time.
STATUS_BYTES_MAX = 5600
MESSAGE_LENGTH_MAX = 400


def to_status(error: MeshError) -> Status:
    """Returns the google.rpc.Status of an error, with ErrorInfo if it has a reason, BadRequest if it has violations,
    and RetryInfo if it has a retry delay. Violations beyond the room in trailers, for about a hundred, are left out.
    """
    details: list[Message] = []
    if error.reason:
        details.append(ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=error.metadata))
    if error.retry_after_s is not None:
        details.append(RetryInfo(retry_delay=_to_duration(error.retry_after_s)))
    status = Status(
        code=int(error.code),
        message=error.message[:MESSAGE_LENGTH_MAX],
        details=[Any.pack(detail) for detail in details],
    )
    if error.violations:
        room_bytes = STATUS_BYTES_MAX - len(status.to_binary())
        fitting = _fitting(map(_to_violation, error.violations), room_bytes)
        status.details.append(Any.pack(BadRequest(field_violations=list(fitting))))
    return status


def _fitting(violations: Iterable[BadRequest.FieldViolation], room_bytes: int) -> Iterator[BadRequest.FieldViolation]:
    """Yields the first violations, as many as fit into a BadRequest detail."""
    room_bytes -= len(Any.pack(BadRequest()).to_binary()) + 2 * 3
    for violation in violations:
        size_bytes = len(violation.to_binary())
        room_bytes -= size_bytes + (2 if size_bytes < 128 else 3)  # the tag and the length, a varint
        if room_bytes < 0:
            return
        yield violation


def from_status(status: Status) -> MeshError:
    """Returns the error of a google.rpc.Status, without details of other types."""
    reason, metadata, violations, retry_after_s = "", {}, [], None
    for packed in status.details:
        if info := packed.unpack(ErrorInfo):
            reason, metadata = info.reason, info.metadata
        elif request := packed.unpack(BadRequest):
            violations += [FieldViolation(v.field, v.description, v.reason) for v in request.field_violations]
        elif retry := packed.unpack(RetryInfo):
            delay = retry.retry_delay or Duration()
            retry_after_s = delay.seconds + delay.nanos / 1e9
    return error_for(status.code)(
        status.message, reason=reason, metadata=metadata, violations=violations, retry_after_s=retry_after_s
    )


def _to_violation(violation: FieldViolation) -> BadRequest.FieldViolation:
    return BadRequest.FieldViolation(field=violation.field, description=violation.description, reason=violation.reason)


def _to_duration(seconds: float) -> Duration:
    nanos = round(seconds * 1e9)
    return Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
