"""What a request says of its body's type, and what it is told if that is not taken."""

import re
from typing import Final

from edge.http.errors import HttpError
from edge.http.headers import Headers
from edge.http.request import FORM, JSON, Request
from edge.protojson.violations import shorten

# How JSON begins, plain or percent-encoded, behind what may stand before it: a byte order mark and white space. No
# name of a field begins so. Or it is one word or number, and nothing else.
_JSON = re.compile(
    rb"(?:\xef\xbb\xbf|%EF%BB%BF)?(?:[ \t\r\n+]++|%20|%09|%0A|%0D)*+"
    rb'(?:[{\["]|%7B|%5B|%22|(?:null|true|false|-?[0-9][0-9.eE+-]*+)\s*+\Z)',
    re.IGNORECASE,
)
_UTF8: Final = (b"", b"utf-8", b"utf8", b"us-ascii")


def is_utf8(request: Request) -> bool:
    """Whether the body is in UTF-8, as far as its Content-Type says."""
    _, _, charset = request.headers.get(b"content-type", b"").lower().partition(b"charset=")
    return charset.split(b";")[0].strip(b' "') in _UTF8


def is_json_as_form(request: Request, content: bytes) -> bool:
    """Whether a body is JSON that claims to be a form. curl -d sends it so, unless it is given the type."""
    return request.media_type() == FORM and _JSON.match(content) is not None


def unsupported(request: Request, accepted: tuple[str, ...], wanted: str, content: bytes = b"") -> HttpError:
    """The error 415 for a body that is none of the `accepted` types. `wanted` names them in a sentence's words.

    Accept says what is taken (RFC 9110, section 15.5.16), Accept-Patch (RFC 5789, section 3.1) and Accept-Post
    (https://www.w3.org/TR/ldp/#header-accept-post) for which method.
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
