"""The error vocabulary: one class for each gRPC status code, with the details of google.rpc that travel with it.

Handlers and domains raise these; mesh.rpc.status sends them over gRPC, and the edge converts them to HTTP. This module
uses only the standard library, so that a domain may import it.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final


class Code(enum.IntEnum):
    """The status codes of gRPC: https://grpc.io/docs/guides/status-codes/."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


VIOLATIONS_MAX: Final = 100
"""The most violations of one request that are reported."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One invalid field of a request: google.rpc.BadRequest.FieldViolation.

    `field` is a path with the names of the .proto file ("order.lines[0].quantity"), `reason` an optional constant in
    UPPER_SNAKE_CASE.
    """

    field: str
    description: str
    reason: str = ""


Metadata = Sequence[tuple[str, str | bytes]]
"""The metadata of a call. Names are in lower case; the values of those that end in -bin are bytes."""


class MeshError(Exception):
    """An error that may leave a process: its message is written for the caller and reveals no internals.

    `reason` and `metadata` become google.rpc.ErrorInfo, `violations` google.rpc.BadRequest, `retry_after_s`
    google.rpc.RetryInfo. An error received from another process has the original google.rpc.Status in
    `received_status`, with all its details, and the call's metadata in `initial_metadata` and `trailing_metadata`.
    """

    code: ClassVar[Code] = Code.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[FieldViolation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s
        self.received_status = b""
        self.initial_metadata: Metadata = ()
        self.trailing_metadata: Metadata = ()


class Cancelled(MeshError):
    """The caller has gone away."""

    code = Code.CANCELLED


class Unknown(MeshError):
    """An error of another system for which no other code fits."""

    code = Code.UNKNOWN


class InvalidArgument(MeshError):
    """The request is invalid, regardless of the state of the system; `violations` name every invalid field."""

    code = Code.INVALID_ARGUMENT


class DeadlineExceeded(MeshError):
    """The deadline of the call has passed."""

    code = Code.DEADLINE_EXCEEDED


class NotFound(MeshError):
    """The resource does not exist, or the caller may not know that it does."""

    code = Code.NOT_FOUND


class AlreadyExists(MeshError):
    """The resource to create exists already."""

    code = Code.ALREADY_EXISTS


class PermissionDenied(MeshError):
    """The caller is authenticated but lacks the permission."""

    code = Code.PERMISSION_DENIED


class ResourceExhausted(MeshError):
    """A quota or rate limit is exhausted; `retry_after_s` is the time to wait before a retry."""

    code = Code.RESOURCE_EXHAUSTED


class MetadataTooLarge(ResourceExhausted):
    """The metadata of a call is larger than the other process accepts."""


class FailedPrecondition(MeshError):
    """The state of the system does not allow the operation; a retry is useless until that state changes."""

    code = Code.FAILED_PRECONDITION


class Aborted(MeshError):
    """A concurrent change won, or the etag is stale: read the resource again, then repeat the call."""

    code = Code.ABORTED


class OutOfRange(MeshError):
    """The operation went past the valid range."""

    code = Code.OUT_OF_RANGE


class Unimplemented(MeshError):
    """The method does not exist here."""

    code = Code.UNIMPLEMENTED


class Internal(MeshError):
    """A bug or fault of the service. The message never reveals more than that."""

    code = Code.INTERNAL


class BrokenResponse(Internal):
    """A reply of another process that breaks the rules of its protocol."""


class Unavailable(MeshError):
    """The service, or something it depends on, can't be reached for now; retry later."""

    code = Code.UNAVAILABLE


class DataLoss(MeshError):
    """Data is lost or damaged beyond recovery."""

    code = Code.DATA_LOSS


class Unauthenticated(MeshError):
    """The call has no valid credentials."""

    code = Code.UNAUTHENTICATED


_BY_CODE: dict[int, type[MeshError]] = {kind.code: kind for kind in MeshError.__subclasses__()}


def error_for(code: int) -> type[MeshError]:
    """Returns the error class of a status code; Unknown for a code outside 1 to 16, as in gRPC."""
    return _BY_CODE.get(code, Unknown)


def invalid_fields(violations: Sequence[FieldViolation]) -> InvalidArgument:
    """Returns the error of a request with these violations. Its message describes the first and counts the others."""
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return InvalidArgument(f"{first.field}: {first.description}{more}", reason="INVALID_FIELD", violations=violations)
