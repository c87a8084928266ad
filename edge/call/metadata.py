"""Conversion between HTTP headers and gRPC metadata, by allow-lists in both directions."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Final

from edge.http.headers import Headers, malformed_header
from edge.http.request_id import REQUEST_ID

FORBIDDEN_PREFIXES: Final = (":", "grpc-", "l5d-", "x-meshwright-")
FORBIDDEN: Final = frozenset(
    {
        *("authorization", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect"),
        *("host", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "set-cookie", "te"),
        *("trailer", "transfer-encoding", "upgrade", REQUEST_ID),
    }
)
"""Names that no allow-list may contain: hop-by-hop headers (RFC 9110, section 7.6.1), those with a meaning in gRPC and
the mesh, and those that the edge sets itself.
"""

_NAME = re.compile(r"[a-z0-9_.\-]+")
_TEXT = re.compile(r"[\x20-\x7e]*")


def check_name(name: str) -> str:
    """Returns a name for an allow-list in lower case. Raises ValueError if the list can't contain it."""
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a valid header name")
    if name in FORBIDDEN or name.startswith(FORBIDDEN_PREFIXES):
        raise ValueError(f"{name} can't be passed on")
    return name


class RequestHeaders:
    """The request headers that services receive as metadata."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = [(name.encode(), name) for name in names]

    def metadata(self, headers: Mapping[bytes, bytes]) -> list[tuple[str, str | bytes]]:
        """Returns the metadata of a request. Headers that end in -bin are base64 of one or more values, which gRPC
        expects decoded. Raises InvalidArgument.
        """
        found: list[tuple[str, str | bytes]] = []
        for encoded, name in self._names:
            value = headers.get(encoded)
            if value is None:
                continue
            if name.endswith("-bin"):
                found += [(name, _binary(name, each.strip())) for each in value.split(b",")]
            else:
                found.append((name, metadata_text(name, value)))
        return found


def metadata_text(name: str, value: bytes) -> str:
    """Converts the value of a header to metadata. Raises InvalidArgument if metadata can't contain it:
    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, ASCII-Value.
    """
    text = value.decode("latin-1")
    if not _TEXT.fullmatch(text):
        raise malformed_header(name, "must contain only printable ASCII")
    return text


def _binary(name: str, value: bytes) -> bytes:
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        raise malformed_header(name, "must be base64") from None


class ResponseHeaders:
    """The response metadata that clients receive as headers."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def headers(self, metadata: Iterable[tuple[str, str | bytes]]) -> Headers:
        """Returns the allowed metadata as headers, with binary values in base64."""
        if not self._names:
            return []
        return [
            (name.encode(), base64.b64encode(value) if isinstance(value, bytes) else value.encode("latin-1", "replace"))
            for name, value in metadata
            if name in self._names
        ]
