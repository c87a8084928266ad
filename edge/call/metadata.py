"""Which headers travel between a client and a service, both ways by allow-list."""

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
"""Names that no list may hold: hop-by-hop ones (RFC 9110, section 7.6.1), those that gRPC and the mesh give a meaning,
and those that the edge sends by itself.
"""

_NAME = re.compile(r"[a-z0-9_.\-]+")
_TEXT = re.compile(r"[\x20-\x7e]*")


def check_name(name: str) -> str:
    """A name for an allow-list, in lower case. Raises ValueError with the reason why it can't be on one."""
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header")
    if name in FORBIDDEN or name.startswith(FORBIDDEN_PREFIXES):
        raise ValueError(f"{name} can't be passed on")
    return name


class RequestHeaders:
    """The headers of requests that services see as metadata."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = [(name.encode(), name) for name in names]

    def metadata(self, headers: Mapping[bytes, bytes]) -> list[tuple[str, str | bytes]]:
        """The metadata. A name that ends in -bin holds base64 of one or several values, which gRPC wants decoded.
        Raises InvalidArgument.
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
    """The value of a header as metadata hold it. Raises InvalidArgument if they can't:
    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, ASCII-Value.
    """
    text = value.decode("latin-1")
    if not _TEXT.fullmatch(text):
        raise malformed_header(name, "may hold printable ASCII only")
    return text


def _binary(name: str, value: bytes) -> bytes:
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        raise malformed_header(name, "is not base64") from None


class ResponseHeaders:
    """The metadata of responses that clients see as headers."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def headers(self, metadata: Iterable[tuple[str, str | bytes]]) -> Headers:
        """The headers; binary values are encoded as base64."""
        if not self._names:
            return []
        return [
            (name.encode(), base64.b64encode(value) if isinstance(value, bytes) else value.encode("latin-1", "replace"))
            for name, value in metadata
            if name in self._names
        ]
