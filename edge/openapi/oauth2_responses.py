"""The Responses Objects of errors in the format of OAuth 2.0 (RFC 6749, section 5.2)."""

import json
from typing import Any, Final

from edge.http.oauth2_errors import oauth2_reply
from edge.http.request import JSON
from edge.openapi.json_schema import Schema
from mesh.errors import InvalidArgument, MeshError, ResourceExhausted, Unauthenticated, Unavailable

OAUTH2_ERROR: Final[Schema] = {
    "type": "object",
    "description": "An error of OAuth 2.0 (RFC 6749, section 5.2).",
    "required": ["error", "error_description"],
    "properties": {
        "error": {"type": "string", "description": "The code of OAuth 2.0.", "examples": ["invalid_grant"]},
        "error_description": {"type": "string", "description": "A message for developers."},
    },
}

_ERRORS: Final[dict[str, tuple[str, tuple[str, ...], MeshError | None]]] = {
    "400": (
        "The request is invalid, or its credentials are wrong.",
        (),
        InvalidArgument("The e-mail address or the password is wrong.", reason="INVALID_GRANT"),
    ),
    "401": (
        "The client is unknown, or its secret is wrong.",
        ("WWW-Authenticate",),
        Unauthenticated("The client is unknown or its secret is wrong.", reason="INVALID_CLIENT"),
    ),
    "429": (
        "Too many requests; try again after Retry-After.",
        ("Retry-After",),
        ResourceExhausted("Too many requests.", retry_after_s=30),
    ),
    "503": (
        "A service is unavailable; try again after Retry-After.",
        ("Retry-After",),
        Unavailable("A service is unavailable.", retry_after_s=1),
    ),
    "default": ("Any other error.", (), None),
}


def oauth2_error_responses(schema: Schema) -> dict[str, Any]:
    """Returns the responses of errors by their statuses. `schema` refers to OAUTH2_ERROR."""
    return {
        status: {
            "description": description,
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in (*headers, "X-Request-Id")},
            "content": {JSON: {"schema": schema, **_example(example)}},
        }
        for status, (description, headers, example) in _ERRORS.items()
    }


def _example(error: MeshError | None) -> dict[str, Any]:
    """Returns an error as the edge writes it."""
    return {} if error is None else {"example": json.loads(oauth2_reply(error, b"").body)}
