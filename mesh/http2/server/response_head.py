"""The header blocks of a response: Response-Headers and Trailers in gRPC's PROTOCOL-HTTP2.md."""

from typing import Final

from mesh.errors import Code, Metadata
from mesh.http2.fields import encode_metadata
from mesh.http2.hpack import encode_name, encode_string
from mesh.http2.messages import ACCEPTED_ENCODINGS
from mesh.rpc import status_message

HEADERS: Final = (
    b"\x88"  # :status 200, the eighth entry of HPACK's static table
    + (encode_name(b"content-type") + encode_string(b"application/grpc"))
    + (encode_name(b"grpc-accept-encoding") + encode_string(ACCEPTED_ENCODINGS))
)
"""The headers of all responses."""

_STATUS: Final = encode_name(b"grpc-status")
_MESSAGE: Final = encode_name(b"grpc-message")

SUCCEEDED: Final = _STATUS + encode_string(b"0")
"""The trailers of a call that succeeded."""


def failed(code: Code, text: str, metadata: Metadata) -> bytes:
    """Returns the trailers of a call that failed. Its text is percent-encoded."""
    status = _STATUS + encode_string(b"%d" % code) + _MESSAGE + encode_string(status_message.encode(text))
    return status + encode_metadata(metadata)


def of_http(status: int) -> bytes:
    """Returns the headers of a response to a request that is none of gRPC."""
    return encode_name(b":status") + encode_string(b"%d" % status)
