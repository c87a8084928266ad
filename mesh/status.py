"""Errors on the wire: MeshError to and from google.rpc.Status, as carried in the trailer grpc-status-details-bin.

https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto says what each detail means.
"""

from googleapis.google.rpc.error_details_pb import BadRequest, ErrorInfo, RetryInfo
from googleapis.google.rpc.status_pb import Status
from protobuf import Message
from protobuf.wkt import Any, Duration

from mesh.errors import FieldViolation, MeshError, error_for

DETAILS_TRAILER = "grpc-status-details-bin"
ERROR_DOMAIN = "meshwright"


def to_status(error: MeshError) -> Status:
    """The google.rpc.Status of an error: ErrorInfo if it has a reason, BadRequest if fields are wrong, RetryInfo if it
    says when to come back.
    """
    details: list[Message] = []
    if error.reason:
        details.append(ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=error.metadata))
    if error.violations:
        details.append(BadRequest(field_violations=[_to_violation(violation) for violation in error.violations]))
    if error.retry_after_s is not None:
        details.append(RetryInfo(retry_delay=_to_duration(error.retry_after_s)))
    return Status(code=int(error.code), message=error.message, details=[Any.pack(detail) for detail in details])


def from_status(status: Status) -> MeshError:
    """The error of a google.rpc.Status; details of other types are left out."""
    reason, metadata, violations, retry_after_s = "", {}, [], None
    for packed in status.details:
        if info := packed.unpack(ErrorInfo):
            reason, metadata = info.reason, info.metadata
        elif request := packed.unpack(BadRequest):
            violations += [FieldViolation(v.field, v.description, v.reason) for v in request.field_violations]
        elif (retry := packed.unpack(RetryInfo)) and retry.retry_delay:
            retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return error_for(status.code)(
        status.message, reason=reason, metadata=metadata, violations=violations, retry_after_s=retry_after_s
    )


def _to_violation(violation: FieldViolation) -> BadRequest.FieldViolation:
    return BadRequest.FieldViolation(field=violation.field, description=violation.description, reason=violation.reason)


def _to_duration(seconds: float) -> Duration:
    nanos = round(seconds * 1e9)
    return Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
