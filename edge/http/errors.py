"""HTTP responses of errors: one table from codes to HTTP statuses, and one format.

The format is that of AIP-193, {"error": {"code", "message", "status", "details"}}, or of RFC 9457 for clients that
prefer it. google/rpc/code.proto defines the HTTP status of each code.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

from googleapis.google.rpc.status_pb import Status
from protobuf import Registry

from edge.contract.types import COMMON_TYPES
from edge.http.headers import Headers
from edge.http.negotiation import media_quality
from edge.protojson.writer import format_duration, to_value
from mesh.errors import BrokenResponse, Code, FieldViolation, MeshError, MetadataTooLarge
from mesh.rpc.status import ERROR_DOMAIN

HTTP_STATUS: Final[dict[Code, int]] = {
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}

# The codes of HTTP statuses to which no gRPC code maps.
_CODES: Final[dict[int, Code]] = {
    404: Code.NOT_FOUND,
    405: Code.UNIMPLEMENTED,
    408: Code.DEADLINE_EXCEEDED,
    412: Code.ABORTED,
    416: Code.OUT_OF_RANGE,
    501: Code.UNIMPLEMENTED,
    502: Code.INTERNAL,
    503: Code.UNAVAILABLE,
}

# The characters of the attribute scope (RFC 6750, section 3).
_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")

PROBLEM: Final = "application/problem+json"
CLIENT_CLOSED: Final = "Client Closed Request"  # nginx's status 499 has no registered phrase

_TYPE_PREFIX: Final = "type.googleapis.com/"


class HttpError(MeshError):
    """An error of HTTP itself, with a status to which no gRPC code maps. `headers` are added to its response."""

    def __init__(
        self, status: int, message: str, reason: str, headers: Iterable[tuple[bytes, bytes]] = (), **more: Any
    ) -> None:
        super().__init__(message, reason=reason, **more)
        self.status = status
        self.headers = tuple(headers)

    @property
    def code(self) -> Code:  # type: ignore[override] # each HTTP status has its own
        """Returns the code in the error's body."""
        return _CODES.get(self.status, Code.INVALID_ARGUMENT)


def render(
    error: MeshError, registry: Registry = COMMON_TYPES, *, scheme: bytes = b"Bearer", accept: bytes = b""
) -> tuple[int, Headers, bytes]:
    """Returns the HTTP status, the headers and the body for an error. `registry` contains the types of the details that
    a service may send, `scheme` is the authentication scheme that the client used, and `accept` its Accept header.
    """
    status = http_status(error)
    shape: dict[str, Any] = {
        "code": status,
        "message": error.message,
        "status": error.code.name,
    }
    if details := list(_received(error, registry) if error.received_status else _details(error)):
        shape["details"] = details
    is_problem = b"problem" in accept and media_quality(accept, PROBLEM) >= media_quality(accept, "application/json")
    document = _problem(shape) if is_problem else {"error": shape}
    media_type = PROBLEM.encode() if is_problem else b"application/json"
    headers = [(b"content-type", media_type), *error_headers(error, scheme)]
    return status, headers, json.dumps(document, ensure_ascii=False).encode(errors="replace")


def _problem(shape: dict[str, Any]) -> dict[str, Any]:
    """Converts an error to the format of RFC 9457; other members of AIP-193 become extension members."""
    shape = dict(shape)
    status, detail, code = shape.pop("code"), shape.pop("message"), shape.pop("status")
    title = CLIENT_CLOSED if status == HTTP_STATUS[Code.CANCELLED] else HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code, **shape}


def http_status(error: MeshError) -> int:
    """Returns the HTTP status of an error."""
    if isinstance(error, BrokenResponse):
        return 502
    if isinstance(error, MetadataTooLarge):
        return 431
    return error.status if isinstance(error, HttpError) else HTTP_STATUS[error.code]


def error_headers(error: MeshError, scheme: bytes) -> Headers:
    """Returns the headers for an error."""
    headers = list(error.headers) if isinstance(error, HttpError) else []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()))
    if challenge := _challenge(error, scheme):
        headers.append((b"www-authenticate", challenge))
    return headers


def _challenge(error: MeshError, scheme: bytes) -> bytes:
    """Returns the challenge for an error (RFC 6750, section 3; RFC 7617), which never contains text of services."""
    if error.code is Code.UNAUTHENTICATED and error.reason == "TOKEN_MISSING":
        return b"Bearer"
    if error.code is Code.UNAUTHENTICATED:
        return b'Basic realm="api"' if scheme.lower() == b"basic" else b'Bearer error="invalid_token"'
    scope = error.metadata.get("scope", "")
    if error.code is Code.PERMISSION_DENIED and _SCOPES.fullmatch(scope):
        return f'Bearer error="insufficient_scope", scope="{scope}"'.encode()
    return b""


def _details(error: MeshError) -> Iterator[dict[str, Any]]:
    """Yields the details of an error as ProtoJSON of google/rpc/error_details.proto."""
    if error.reason:
        info = {"reason": error.reason, "domain": ERROR_DOMAIN, "metadata": error.metadata}
        yield {"@type": f"{_TYPE_PREFIX}google.rpc.ErrorInfo", **info}
    if error.violations:
        violations = [_violation(violation) for violation in error.violations]
        yield {"@type": f"{_TYPE_PREFIX}google.rpc.BadRequest", "fieldViolations": violations}
    if error.retry_after_s is not None:
        delay = format_duration(0, round(error.retry_after_s * 1e9))
        yield {"@type": f"{_TYPE_PREFIX}google.rpc.RetryInfo", "retryDelay": delay}


def _violation(violation: FieldViolation) -> dict[str, str]:
    shown = {"field": violation.field, "description": violation.description}
    return {**shown, "reason": violation.reason} if violation.reason else shown


def _received(error: MeshError, registry: Registry) -> Iterator[dict[str, Any]]:
    """Yields the details that the service sent, with violations in the client's spelling, and without DebugInfo, which
    is not for clients.
    """
    spelled = iter(error.violations)
    for detail in Status.from_binary(error.received_status).details:
        if detail.type_url.endswith("/google.rpc.DebugInfo"):
            continue
        shown: dict[str, Any] = to_value(detail, registry)
        if detail.type_url.endswith("/google.rpc.BadRequest"):
            for violation, own in zip(shown.get("fieldViolations", ()), spelled, strict=False):
                violation["field"] = own.field
        yield shown
