"""Errors in the format of OAuth 2.0: https://www.rfc-editor.org/rfc/rfc6749#section-5.2."""

import json
import re
from typing import Final

from edge.http.errors import error_headers, http_status
from edge.http.headers import Headers
from edge.http.reply import Reply
from mesh.errors import Code, MeshError

CODES: Final = frozenset(
    {
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_token_type",
    }
)
"""The codes of RFC 6749, section 5.2, and of RFC 7009, section 2.2.1, which a reason names in upper case."""

# Section 5.2 has no codes for errors that are not the client's; these are those of section 4.1.2.1.
_TEMPORARY: Final = (429, 503, 504)
_TEMPORARILY_UNAVAILABLE: Final = "temporarily_unavailable"
_SERVER_ERROR: Final = "server_error"

# The characters that error_description must not contain.
_FORBIDDEN = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_SUBSTITUTES: Final = {'"': "'", "\\": "/", "\n": " ", "\t": " "}


def oauth2_reply(error: MeshError, scheme: bytes) -> Reply:
    """Returns the reply to a request that failed. `scheme` is the authentication scheme that the client used."""
    document = {"error": oauth2_code(error), "error_description": _description(error.message)}
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        *_headers(error, scheme),
    ]
    return Reply(http_status(error), headers, json.dumps(document).encode())


def oauth2_code(error: MeshError) -> str:
    """Returns the code of OAuth 2.0 for an error."""
    code = error.reason.lower()
    if code in CODES:
        return code
    if error.code is Code.UNAUTHENTICATED:
        return "invalid_client"
    status = http_status(error)
    if status in _TEMPORARY:
        return _TEMPORARILY_UNAVAILABLE
    return _SERVER_ERROR if status >= 500 else "invalid_request"


def _headers(error: MeshError, scheme: bytes) -> Headers:
    """Returns the headers for an error. Clients authenticate by Basic (RFC 6749, section 2.3.1), so the challenge names
    it to clients that used no scheme.
    """
    return error_headers(error, scheme or b"basic")


def _description(message: str) -> str:
    return _FORBIDDEN.sub(lambda found: _SUBSTITUTES.get(found[0], "?"), message)
