"""Checks of a request's Content-Type, and the error for an unsupported one."""

import re
from typing import Final

from edge.http.errors import HttpError
from edge.http.headers import Headers
from edge.http.request import FORM, JSON, Request
from edge.protojson.violations import shorten

# The beginning of JSON, plain or percent-encoded, after an optional byte order mark and white space. It can't be the
# beginning of a field name. The alternative is a single word or number.
_JSON = re.compile(
    rb"(?:\xef\xbb\xbf|%EF%BB%BF)?(?>(?:[ \t\r\n+]++|%20|%09|%0A|%0D)*)"
    rb'(?:[{\["]|%7B|%5B|%22|(?:null|true|false|-?[0-9][0-9.eE+-]*+)\s*+\Z)',
    re.IGNORECASE,
)
_UTF8: Final = (b"", b"utf-8", b"utf8", b"us-ascii")


def is_utf8(request: Request) -> bool:
    """Returns whether the body is in UTF-8 according to its Content-Type."""
    _, _, charset = request.headers.get(b"content-type", b"").lower().partition(b"charset=")
    return charset.split(b";")[0].strip(b' "') in _UTF8


def is_json_as_form(request: Request, content: bytes) -> bool:
    """Returns whether a body is JSON with the Content-Type of a form, which is the default of curl -d."""
    return request.media_type() == FORM and _JSON.match(content) is not None


def unsupported_media_type(request: Request, accepted: tuple[str, ...], wanted: str, content: bytes = b"") -> HttpError:
    """Returns the error 415 for a body of none of the `accepted` types. `wanted` lists them for the message.

    The types are in the header Accept (RFC 9110, section 15.5.16), and by method in Accept-Patch (RFC 5789, section
    3.1) or Accept-Post (https://www.w3.org/TR/ldp/#header-accept-post).
    """
    given = request.headers.get(b"content-type", b"").decode("latin-1")
    if is_json_as_form(request, content):
        text = f"The body is JSON, but its Content-Type is {FORM}, as curl -d sends it. Send Content-Type: {JSON}."
    else:
        text = f"The body must be {wanted}, in UTF-8; its Content-Type is {shorten(given)}."
    types = ", ".join(accepted).encode()
    headers: Headers = [(b"accept", types)]
    if request.method in ("PATCH", "POST"):
        headers.append((f"accept-{request.method.lower()}".encode(), types))
    return HttpError(415, text, "CONTENT_TYPE_NOT_SUPPORTED", headers)
