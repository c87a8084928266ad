"""Connect's streaming calls, whose messages are in envelopes: https://connectrpc.com/docs/protocol#streaming-rpcs."""

import json
from collections.abc import AsyncGenerator
from typing import Any, Final

from googleapis.google.rpc.status_pb import Status
from protobuf import Registry

from edge.http.headers import Headers
from edge.http.request import Request
from edge.protocols.connect.error_reply import to_json
from edge.protocols.connect.request_headers import VERSION_HEADER, check_version, timeout_s
from edge.protocols.rpc.envelope import write_envelope

PREFIX: Final = "application/connect+"
"""The part of the media type before the codec's name."""

_END_STREAM: Final = 0x02


class ConnectStream:
    """The Connect dialect of one call in envelopes."""

    coding_header = b"connect-content-encoding"
    accepted_codings_header = b"connect-accept-encoding"

    def __init__(self, details: Registry, request: Request) -> None:
        """`details` has the types of the errors' details."""
        self._details = details
        self._headers = request.headers
        self.media_type = request.media_type()

    def timeout_s(self) -> float:
        """Returns Connect-Timeout-Ms in seconds, infinity if there is none."""
        check_version(self._headers.get(VERSION_HEADER), b"1")
        return timeout_s(self._headers)

    def read(self, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Returns the body unchanged."""
        return body

    def end(self, status: Status | None, trailers: Headers) -> bytes:
        """Returns the EndStreamResponse, in its envelope."""
        shape: dict[str, Any] = {}
        if status is not None:
            shape["error"] = to_json(status, self._details)
        for name, value in trailers:
            metadata = shape.setdefault("metadata", {})
            metadata.setdefault(name.decode(), []).append(value.decode("latin-1"))
        return write_envelope(json.dumps(shape, ensure_ascii=False).encode(), _END_STREAM)

    def write(self, envelope: bytes) -> bytes:
        """Returns the envelope unchanged."""
        return envelope
