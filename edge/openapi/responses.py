"""The Responses Objects of routes: the response of a success, and those of errors."""

import json
from typing import Any, Final

from meshwright.policy.v1.policy_pb import ErrorFormat
from protobuf import DescField, DescFieldValueEnum, DescFieldValueMessage, DescFieldValueScalar, DescMessage

from edge.contract.http_body import returns_http_body
from edge.contract.route import Route
from edge.http.errors import PROBLEM, render
from edge.http.request import JSON
from edge.openapi import streams
from edge.openapi.comments import Comments
from edge.openapi.json_schema import BINARY, Schema, media_type, nullable
from edge.openapi.oauth2_responses import OAUTH2_ERROR, oauth2_error_responses
from edge.openapi.samples.response_samples import ResponseSamples
from edge.openapi.schemas.message_schemas import MessageSchemas
from edge.openapi.schemas.schema_variant import SchemaVariant
from edge.protojson.leaf_readers import TEXT_MESSAGES
from edge.reply.next_page import NextPage
from edge.reply.replies import NO_CONTENT
from mesh.errors import (
    Aborted,
    DeadlineExceeded,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)

_DETAILS: Final[Schema] = {
    "type": "array",
    "description": "Details by type: google.rpc.ErrorInfo, google.rpc.BadRequest and others.",
    "items": {
        "type": "object",
        "required": ["@type"],
        "properties": {"@type": {"type": "string"}},
        "additionalProperties": True,
    },
}
_STATUS: Final[Schema] = {"type": "string", "description": "The gRPC status code.", "examples": ["NOT_FOUND"]}
SCHEMAS: Final[dict[str, Schema]] = {
    "Error": {
        "type": "object",
        "description": "Every error has this shape (AIP-193).",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message", "status"],
                "properties": {
                    "code": {"type": "integer", "description": "The HTTP status."},
                    "message": {"type": "string", "description": "A message for developers."},
                    "status": _STATUS,
                    "details": _DETAILS,
                },
            }
        },
    },
    "Problem": {
        "type": "object",
        "description": "The same error for clients whose Accept prefers problem details (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string", "description": "The phrase of the HTTP status."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": {"type": "string", "description": "A message for developers."},
            "code": _STATUS,
            "details": _DETAILS,
        },
    },
}
ERROR: Final[Schema] = {"$ref": "#/components/schemas/Error"}

HEADERS: Final[dict[str, Any]] = {
    "ETag": {
        "description": "The version of the resource, for If-None-Match and If-Match.",
        "schema": {"type": "string"},
    },
    "Link": {"description": 'The URL of the next page, with rel="next" (RFC 8288).', "schema": {"type": "string"}},
    "RateLimit": {
        "description": "The number of calls left, and the seconds until it is reset.",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {"description": "The number of calls allowed in a period.", "schema": {"type": "string"}},
    "Retry-After": {"description": "The number of seconds after which to try again.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "The missing or invalid credentials (RFC 6750).", "schema": {"type": "string"}},
    "X-Request-Id": {
        "description": "The id of the request, for reports to the operator.",
        "schema": {"type": "string"},
    },
}

_ERRORS: Final = {
    "400": "The request is invalid; every violation is listed with its field.",
    "401": "The access token is missing, expired or invalid.",
    "403": "The access token lacks a scope, or its bearer lacks the permission.",
    "404": "The resource does not exist, or the caller may not see it.",
    "409": "The resource already exists, or another caller changed it at the same time.",
    "429": "Too many requests; try again after Retry-After.",
    "503": "A service is unavailable; try again after Retry-After.",
    "504": "The call took longer than its deadline.",
    "default": "Any other error.",
}
_ERROR_HEADERS: Final = {
    "401": ("WWW-Authenticate",),
    "403": ("WWW-Authenticate",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
}


_EXAMPLES: Final = {
    "400": InvalidArgument(
        "pageSize: must be from 0 to 100",
        reason="INVALID_FIELD",
        violations=[FieldViolation("pageSize", "must be from 0 to 100", "OUT_OF_RANGE")],
    ),
    "401": Unauthenticated("The access token has expired.", reason="TOKEN_EXPIRED"),
    "403": PermissionDenied("You may not do this."),
    "404": NotFound("There is no such resource."),
    "409": Aborted("Another caller has changed the resource."),
    "429": ResourceExhausted("Too many requests.", retry_after_s=30),
    "503": Unavailable("A service is unavailable.", retry_after_s=1),
    "504": DeadlineExceeded("The call took longer than its deadline."),
}


def error_responses() -> dict[str, Any]:
    """Returns the responses of errors, by the names of their components."""
    return {
        status: {
            "description": description,
            "headers": _headers(*_ERROR_HEADERS.get(status, ()), "X-Request-Id"),
            "content": {
                JSON: {"schema": ERROR, **_example(status, JSON)},
                PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, **_example(status, PROBLEM)},
            },
        }
        for status, description in _ERRORS.items()
    }


def _example(status: str, media_type: str) -> dict[str, Any]:
    """Returns a typical error of a status as the edge writes it."""
    if status not in _EXAMPLES:
        return {}
    _, _, body = render(_EXAMPLES[status], accept=media_type.encode())
    return {"example": json.loads(body)}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


class Responses:
    """The responses of a document's operations."""

    def __init__(self, schemas: MessageSchemas, comments: Comments, samples: ResponseSamples, *, secured: bool) -> None:
        """`secured` says that the edge verifies tokens."""
        self._schemas = schemas
        self._comments = comments
        self._samples = samples
        self._secured = secured

    def of(self, route: Route, request_sample: Any) -> dict[str, Any]:
        """Returns the Responses Object of a route. `request_sample` is that of its body, or None."""
        policy = route.method.policy
        responses: dict[str, Any] = {str(policy.http_status): self._success(route, request_sample)}
        if returns_http_body(route) and _streams_responses(route):
            responses["206"] = {"description": "The part that Range asked for.", "content": _BINARY_CONTENT}
        if _has_etag(route):
            responses["304"] = {
                "description": "The resource still has a version that If-None-Match names.",
                "headers": _headers("ETag", "X-Request-Id"),
            }
        statuses = ["400", "404", "503", "504"]
        if self._secured and not policy.public:
            statuses += ["401", "403"]
        if route.http_method != "GET":
            statuses.append("409")
        if policy.rate_limit is not None:
            statuses.append("429")
        if policy.error_format is ErrorFormat.OAUTH2:
            schema = self._schemas.components.add("OAuth2Error", lambda: OAUTH2_ERROR, is_type=False)
            return responses | oauth2_error_responses(schema)
        for status in (*sorted(statuses), "default"):
            responses[status] = {"$ref": f"#/components/responses/{status}"}
        return responses

    def _success(self, route: Route, request_sample: Any) -> dict[str, Any]:
        method = route.method
        output = method.desc.output
        response: dict[str, Any] = {
            "description": self._comment(output) or "Success.",
            "headers": _headers(*_success_headers(route), "X-Request-Id"),
        }
        if method.policy.http_status in NO_CONTENT:
            return response
        if returns_http_body(route):
            return {**response, "description": "Success.", "content": _BINARY_CONTENT}
        schema: Schema = self._schemas.message(output, SchemaVariant.RESPONSE)
        if route.response_body is not None:
            schema = self._schemas.field(route.response_body, SchemaVariant.RESPONSE)
            schema = nullable(schema) if _may_be_null(route.response_body) else schema
        sample = self._samples.of(route, request_sample)
        if _streams_responses(route):
            stream = None if sample is None else streams.StreamSample(sample, self._samples.event_id(route, sample))
            return {**response, "content": streams.response_content(schema, ERROR, stream)}
        return {**response, "content": {JSON: media_type(schema, sample)}}

    def _comment(self, output: DescMessage) -> str:
        """Returns the contract's comment on the type of the response. Those of Google's types describe the types, not
        this response.
        """
        is_own = not output.type_name.startswith("google.")
        return self._comments.of(output.type_name) if is_own else ""


# The response may have any media type. Generators that don't know ranges of media types use the first entry.
_BINARY_CONTENT: Final = {"application/octet-stream": {"schema": BINARY}, "*/*": {"schema": BINARY}}


def _streams_responses(route: Route) -> bool:
    return route.method.desc.method_kind in ("server_streaming", "bidi_streaming")


def _has_etag(route: Route) -> bool:
    return route.http_method == "GET" and not _streams_responses(route) and not returns_http_body(route)


def _may_be_null(field: DescField) -> bool:
    """Returns whether a response that is this field alone is null if the field is absent."""
    match field.value:
        case DescFieldValueScalar() | DescFieldValueEnum():
            return field.presence.name != "IMPLICIT"
        case DescFieldValueMessage(message=message):
            return message.type_name in TEXT_MESSAGES
    return False


def _success_headers(route: Route) -> list[str]:
    names = ["ETag"] if _has_etag(route) else []
    if NextPage.of(route) is not None and not _streams_responses(route):
        names.append("Link")
    if route.method.policy.rate_limit is not None:
        names += ["RateLimit", "RateLimit-Policy"]
    return names
