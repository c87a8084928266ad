"""Connect's calls in envelopes: https://connectrpc.com/docs/protocol#streaming-rpcs."""

import json
from collections.abc import AsyncGenerator
from typing import Any, Final

from googleapis.google.rpc.status_pb import Status
from protobuf import Registry

from edge.http.headers import Headers
from edge.http.request import Request
from edge.protocols.connect.error_reply import to_json
from edge.protocols.connect.version import VERSION_HEADER, check_version, timeout_s
from edge.protocols.rpc.envelope import seal

PREFIX: Final = "application/connect+"
"""What stands before the codec's name in the media type."""

_END_STREAM: Final = 0x02


class ConnectStream:
    """One call by Connect, in an envelope for each message."""

    coding_header = b"connect-content-encoding"
    accepted_codings_header = b"connect-accept-encoding"

    def __init__(self, details: Registry, request: Request) -> None:
        """`details` knows the types of the errors' details."""
        self._details = details
        self._headers = request.headers
        self.media_type = request.media_type()

    def timeout_s(self) -> float:
        """Connect-Timeout-Ms in seconds."""
        check_version(self._headers.get(VERSION_HEADER), b"1")
        return timeout_s(self._headers)

    def read(self, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The body as it is."""
        return body

    def end(self, status: Status | None, trailers: Headers) -> bytes:
        """The EndStreamResponse."""
        shape: dict[str, Any] = {}
        if status is not None:
            shape["error"] = to_json(status, self._details)
        for name, value in trailers:
            metadata = shape.setdefault("metadata", {})
            metadata.setdefault(name.decode(), []).append(value.decode("latin-1"))
        return seal(json.dumps(shape, ensure_ascii=False).encode(), _END_STREAM)

    def write(self, envelope: bytes) -> bytes:
        """The envelope as it is."""
        return envelope
