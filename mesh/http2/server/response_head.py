"""The header blocks of a response: Response-Headers and Trailers in gRPC's PROTOCOL-HTTP2.md."""

import re
from string import printable
from typing import Final
from urllib.parse import quote

from mesh.errors import Code, Metadata
from mesh.http2.fields import encode_metadata
from mesh.http2.hpack import encode_name, encode_string
from mesh.http2.messages import ACCEPTED_ENCODINGS

HEADERS: Final = (
    b"\x88"  # :status 200, the eighth entry of HPACK's static table
    + (encode_name(b"content-type") + encode_string(b"application/grpc"))
    + (encode_name(b"grpc-accept-encoding") + encode_string(ACCEPTED_ENCODINGS))
)
"""The headers of all responses."""

_STATUS: Final = encode_name(b"grpc-status")
_MESSAGE: Final = encode_name(b"grpc-message")
_UNQUOTED: Final = "".join(character for character in printable if character >= " " and character != "%")
_OUTER_SPACE = re.compile(r"\A | \Z")
"""Clients drop a value that begins or ends with a space, which is malformed: RFC 9113, section 8.2.1."""

SUCCEEDED: Final = _STATUS + encode_string(b"0")
"""The trailers of a call that succeeded."""


def failed(code: Code, text: str, metadata: Metadata) -> bytes:
    """Returns the trailers of a call that failed. Its text is percent-encoded."""
    message = _OUTER_SPACE.sub("%20", quote(text, safe=_UNQUOTED)).encode("ascii")
    status = _STATUS + encode_string(b"%d" % code) + _MESSAGE + encode_string(message)
    return status + encode_metadata(metadata)


def of_http(status: int) -> bytes:
    """Returns the headers of a response to a request that is none of gRPC."""
    return encode_name(b":status") + encode_string(b"%d" % status)
