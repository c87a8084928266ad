"""gRPC-Web: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md."""

import base64
import math
from collections.abc import AsyncGenerator
from typing import Final

from googleapis.google.rpc.status_pb import Status

from edge.http.headers import Headers
from edge.http.request import Request
from edge.protocols.grpc_web.base64_text import decode_base64
from edge.protocols.rpc.envelope import write_envelope
from mesh.errors import Code, DeadlineExceeded, InvalidArgument
from mesh.rpc import call_timeout, status_message

BINARY: Final = "application/grpc-web"
TEXT: Final = "application/grpc-web-text"
"""The media types; a codec's name may follow after a plus sign."""

_TRAILERS: Final = 0x80


class GrpcWeb:
    """The gRPC-Web dialect of one call, binary or in base64, which is for browsers that can't stream bytes to
    scripts.
    """

    coding_header = b"grpc-encoding"
    accepted_codings_header = b"grpc-accept-encoding"

    def __init__(self, request: Request) -> None:
        self._headers = request.headers
        own, plus, codec = request.media_type().partition("+")
        self._from_text = own == TEXT
        self._as_text = _wants_text(request.headers.get(b"accept", b""), default=self._from_text)
        self.media_type = f"{TEXT if self._as_text else BINARY}{plus}{codec}"

    def timeout_s(self) -> float:
        """Returns grpc-timeout in seconds, infinity if there is none."""
        given = self._headers.get(b"grpc-timeout")
        if given is None:
            return math.inf
        timeout_s = call_timeout.decode(given)
        if timeout_s is None:
            text = "The header grpc-timeout must be at most 8 digits and one of the units H, M, S, m, u, n."
            raise InvalidArgument(text, reason="MALFORMED_HEADER")
        if timeout_s == 0:
            raise DeadlineExceeded("grpc-timeout is 0: the deadline has already passed.")
        return timeout_s

    def read(self, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Returns the body, decoded if it is text."""
        return decode_base64(body) if self._from_text else body

    def end(self, status: Status | None, trailers: Headers) -> bytes:
        """Returns the trailers as an HTTP/1 block of headers. They are always in the body, because scripts of other
        origins can't read all headers.
        """
        lines = [(b"grpc-status", str(status.code if status else int(Code.OK)).encode())]
        if status is not None:
            lines.append((b"grpc-message", status_message.encode(status.message)))
            if status.details:
                lines.append((b"grpc-status-details-bin", base64.b64encode(status.to_binary()).rstrip(b"=")))
        return write_envelope(
            b"".join(name + b": " + value + b"\r\n" for name, value in [*lines, *trailers]), _TRAILERS
        )

    def write(self, envelope: bytes) -> bytes:
        """Returns the envelope, in base64 if the client wants text. Each is encoded separately, so that none waits for
        the next.
        """
        return base64.b64encode(envelope) if self._as_text else envelope


def _wants_text(accept: bytes, *, default: bool) -> bool:
    """Returns whether the response is text, by the Accept header or else by `default`."""
    wanted = accept.partition(b",")[0].strip().lower()
    return wanted.startswith(TEXT.encode()) if wanted.startswith(BINARY.encode()) else default
