"""The header block of a request: Request-Headers in gRPC's PROTOCOL-HTTP2.md."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from mesh.errors import Code
from mesh.http2.fields import check, content_length, malformed, text
from mesh.http2.hpack import Field
from mesh.http2.messages import ENCODINGS
from mesh.http2.server.load import FIELD_MEMORY_BYTES
from mesh.rpc import call_timeout
from mesh.rpc.call_error import CallError

_PSEUDO_FIELDS: Final = frozenset({b":method", b":scheme", b":authority", b":path"})
_OF_PROTOCOL: Final = frozenset(
    {
        b"te",
        b"content-type",
        b"content-length",
        b"grpc-timeout",
        b"grpc-encoding",
        b"grpc-accept-encoding",
        b"grpc-message-type",
    }
)
_CONTENT_TYPE = re.compile(rb"application/grpc(\+proto)?(;.*)?")

_METHOD_NOT_ALLOWED: Final = 405
_UNSUPPORTED_MEDIA_TYPE: Final = 415


class NotGrpc(Exception):
    """A request of HTTP that is none of gRPC, and the HTTP status of its answer."""

    def __init__(self, http_status: int) -> None:
        super().__init__(f"HTTP status {http_status}")
        self.http_status = http_status


class RequestHead(NamedTuple):
    """The start of a call. `metadata` has the values in ASCII, the last one of each name; `size` is the memory that the
    head takes.
    """

    path: str
    timeout_s: float | None
    encoding: bytes
    metadata: dict[str, str]
    size: int
    content_length: int | None


def parse(fields: Sequence[Field]) -> RequestHead:
    """Returns the head of a call. Raises StreamFault if the request is malformed (RFC 9113, section 8.3.1), NotGrpc if
    it is not one of gRPC, CallError if its timeout is none or its encoding unknown.
    """
    pseudo: dict[bytes, bytes] = {}
    regular: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in _PSEUDO_FIELDS:
            if name in pseudo or regular:  # section 8.3
                raise malformed(name, value)
            pseudo[name] = value
        else:
            check(name, value)
            regular[name] = value
    if not pseudo.get(b":path") or b":scheme" not in pseudo or b":method" not in pseudo:
        raise malformed(b":path", pseudo.get(b":path", b""))
    if (te := regular.get(b"te", b"trailers")) != b"trailers":
        raise malformed(b"te", te)  # section 8.2.2
    if pseudo[b":method"] != b"POST":
        raise NotGrpc(_METHOD_NOT_ALLOWED)
    if not _CONTENT_TYPE.fullmatch(regular.get(b"content-type", b"")):
        raise NotGrpc(_UNSUPPORTED_MEDIA_TYPE)
    return RequestHead(
        pseudo[b":path"].decode("latin-1"),
        _timeout_s(regular.get(b"grpc-timeout")),
        _encoding(regular.get(b"grpc-encoding", b"identity")),
        {
            name.decode(): text(value)
            for name, value in regular.items()
            if name not in _OF_PROTOCOL and name[-4:] != b"-bin"
        },
        len(fields) * FIELD_MEMORY_BYTES + sum(map(len, regular)) + sum(map(len, regular.values())),
        content_length(fields) if b"content-length" in regular else None,
    )


def _encoding(value: bytes) -> bytes:
    """Raises CallError with the code of gRPC's compression.md, by which clients know to call without compression."""
    if value not in ENCODINGS:
        raise CallError(Code.UNIMPLEMENTED, f"The encoding {value[:20]!r} is not supported.")
    return value


def _timeout_s(value: bytes | None) -> float | None:
    if value is None:
        return None
    timeout_s = call_timeout.decode(value)
    if timeout_s is None:
        raise CallError(Code.INTERNAL, f"The timeout {value[:20]!r} is not one to eight digits and a unit.")
    return timeout_s
