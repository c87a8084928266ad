"""The error vocabulary: one class for each gRPC status code, with the details of google.rpc that travel with it.

Handlers and domains raise these; mesh.rpc.status carries them over gRPC, and the edge turns them into HTTP. Only the
standard library is used here, so that a domain may import it.
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
"""How many violations of one request are looked for and told."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that is wrong: google.rpc.BadRequest.FieldViolation.

    `field` is a path in the proto's spelling ("order.lines[0].quantity"), `reason` an optional constant in
    UPPER_SNAKE_CASE.
    """

    field: str
    description: str
    reason: str = ""


Metadata = Sequence[tuple[str, str | bytes]]
"""The metadata of a call, by names in lower case; those that end in -bin have bytes."""


class MeshError(Exception):
    """An error that may leave a process: its message is written for the caller and holds no internals.

    `reason` and `metadata` become google.rpc.ErrorInfo, `violations` google.rpc.BadRequest, `retry_after_s`
    google.rpc.RetryInfo. Of an error that came from another process, `received_status` is the google.rpc.Status as it
    came, with whatever other details it has; `initial_metadata` and `trailing_metadata` came with it.
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
    """An error of another system that fits no other code."""

    code = Code.UNKNOWN


class InvalidArgument(MeshError):
    """The request is wrong whatever the state of the system; `violations` name every field at fault."""

    code = Code.INVALID_ARGUMENT


class DeadlineExceeded(MeshError):
    """The time allowed for the call is over."""

    code = Code.DEADLINE_EXCEEDED


class NotFound(MeshError):
    """The resource does not exist, or the caller may not know that it does."""

    code = Code.NOT_FOUND


class AlreadyExists(MeshError):
    """The resource to create exists."""

    code = Code.ALREADY_EXISTS


class PermissionDenied(MeshError):
    """The caller is known and may not do this."""

    code = Code.PERMISSION_DENIED


class ResourceExhausted(MeshError):
    """A quota or rate limit is used up; `retry_after_s` says when to come back."""

    code = Code.RESOURCE_EXHAUSTED


class MetadataTooLarge(ResourceExhausted):
    """The metadata of a call is larger than the other process takes."""


class FailedPrecondition(MeshError):
    """The state of the system forbids it; repeating the call is of no use before that state changes."""

    code = Code.FAILED_PRECONDITION


class Aborted(MeshError):
    """A concurrent change won, as with a stale etag: read again, then repeat."""

    code = Code.ABORTED


class OutOfRange(MeshError):
    """The operation went past the valid range."""

    code = Code.OUT_OF_RANGE


class Unimplemented(MeshError):
    """The method does not exist here."""

    code = Code.UNIMPLEMENTED


class Internal(MeshError):
    """A fault of ours. The message never says more than that."""

    code = Code.INTERNAL


class BrokenReply(Internal):
    """What another process answered is no proper reply, by the rules of its protocol."""


class Unavailable(MeshError):
    """A dependency is away for now; repeating the call later is right."""

    code = Code.UNAVAILABLE


class DataLoss(MeshError):
    """Data is lost or damaged for good."""

    code = Code.DATA_LOSS


class Unauthenticated(MeshError):
    """The caller did not prove who it is."""

    code = Code.UNAUTHENTICATED


_BY_CODE: dict[int, type[MeshError]] = {kind.code: kind for kind in MeshError.__subclasses__()}


def error_for(code: int) -> type[MeshError]:
    """The error class of a status code; a code outside 1 to 16 is Unknown, as gRPC has it."""
    return _BY_CODE.get(code, Unknown)


def invalid_fields(violations: tuple[FieldViolation, ...]) -> InvalidArgument:
    """Returns the error of a request with these violations; its message names the first, and counts the others."""
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return InvalidArgument(f"{first.field}: {first.description}{more}", reason="INVALID_FIELD", violations=violations)
