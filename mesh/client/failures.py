"""The errors of failed calls, derived from the status that a workload, a library or a proxy sent."""

import re

from googleapis.google.rpc.status_pb import Status

from mesh.client.redaction import REDACTED_CODES, is_for_callers, is_library_message
from mesh.errors import BrokenResponse, Code, DeadlineExceeded, MeshError, MetadataTooLarge, Unavailable, error_for
from mesh.rpc.call_error import CallError
from mesh.rpc.parse_errors import PARSE_ERRORS
from mesh.rpc.status import DETAILS_TRAILER, from_status

# The texts of these come from a gRPC library or a crashed handler, and hold addresses and stack traces.
NEUTRAL_TEXTS = {
    Code.UNAVAILABLE: "A service that this call needs is not available for now.",
    Code.DEADLINE_EXCEEDED: "The call took longer than its deadline allows.",
    Code.CANCELLED: "The call was cancelled.",
    Code.INTERNAL: "Internal error.",
    Code.UNKNOWN: "Internal error.",
    Code.DATA_LOSS: "Internal error.",
}

_METADATA_TOO_LARGE = re.compile(r"received metadata size exceeds|Received http2 header with status: 431")

# The codes of statuses that a transport makes for responses that are not valid.
_NO_STATUS_CODES = frozenset(
    {
        *(Code.UNKNOWN, Code.INTERNAL, Code.UNIMPLEMENTED, Code.RESOURCE_EXHAUSTED),
        *(Code.PERMISSION_DENIED, Code.UNAUTHENTICATED),  # a proxy means us by its 401 and 403, and not our caller
    }
)


def failure_of(error: CallError, *, bare_messages: bool) -> MeshError:
    """Returns the MeshError of a failed call: the one that the workload sent as google.rpc.Status, or one made from
    the bare code and message.
    """
    failure = _sent_failure(error) or _bare_failure(error, bare_messages=bare_messages)
    failure.initial_metadata = error.initial_metadata
    failure.trailing_metadata = error.trailing_metadata
    return failure


def status_bytes(error: CallError) -> bytes:
    """Returns the google.rpc.Status that came with an error, empty if none did."""
    details = dict(error.trailing_metadata).get(DETAILS_TRAILER)
    return details if isinstance(details, bytes) else b""


def _sent_failure(error: CallError) -> MeshError | None:
    """Returns the error that the workload sent deliberately, or None."""
    if not (details := status_bytes(error)):
        return None
    try:
        status = Status.from_binary(details)
        failure = from_status(status)
    except PARSE_ERRORS:
        return None
    if status.code != error.code or not is_for_callers(status):
        return None
    failure.received_status = details
    return failure


def _bare_failure(error: CallError, *, bare_messages: bool) -> MeshError:
    kind, text = error_for(error.code), error.text
    if _METADATA_TOO_LARGE.match(text):
        text = "The headers of the request are larger than the service accepts."
        return MetadataTooLarge(text, reason="HEADERS_TOO_LARGE")
    if not error.is_sent and kind.code in _NO_STATUS_CODES:
        return broken_response()
    if not error.is_sent and kind.code is Code.CANCELLED:  # by the server, which may be stopping
        return unavailable()
    neutral = NEUTRAL_TEXTS.get(kind.code)
    if neutral is not None and not (
        bare_messages and text and kind.code in REDACTED_CODES and not is_library_message(text)
    ):
        text = neutral
    return kind(text or kind.code.name, retry_after_s=1 if kind is Unavailable else None)


def unavailable(*, reason: str = "", retry_after_s: float = 1) -> Unavailable:
    """Returns the error of a workload that can't be reached."""
    return Unavailable(NEUTRAL_TEXTS[Code.UNAVAILABLE], reason=reason, retry_after_s=retry_after_s)


def deadline_exceeded() -> DeadlineExceeded:
    """Returns the error of a call whose deadline has passed."""
    return DeadlineExceeded(NEUTRAL_TEXTS[Code.DEADLINE_EXCEEDED])


def broken_response() -> BrokenResponse:
    """Returns the error of a response that does not follow the contract."""
    return BrokenResponse("The service sent an invalid response.", reason="BAD_RESPONSE")
