"""The fields of header blocks, whichever side sends them: RFC 9113, section 8.2, and metadata of gRPC's
PROTOCOL-HTTP2.md.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from mesh.errors import Metadata
from mesh.http2.faults import ErrorCode, StreamFault
from mesh.http2.hpack import Field, encode_name, encode_string

LIST_BYTES_MAX: Final = 16_384
"""The limit on a list of headers, which is announced as SETTINGS_MAX_HEADER_LIST_SIZE. It is that of gRPC's library."""

# A field name has no upper-case letters, no spaces and nothing beyond ASCII: section 8.2.1.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
# Values must not begin or end with spaces either, but gRPC does not percent-encode those of grpc-message.
_MALFORMED_VALUE = re.compile(rb"[\0\r\n]")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_OF_CONNECTION: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})

# Proxies must not keep credentials in their tables: RFC 7541, section 7.1.3.
_SECRETS: Final = frozenset({"authorization", "cookie"})


def check(name: bytes, value: bytes) -> None:
    """Raises StreamFault if a field is malformed, or belongs to a connection of HTTP/1."""
    if not _is_name(name) or _MALFORMED_VALUE.search(value):
        raise malformed(name, value)


@lru_cache(maxsize=128)  # more than are in use, and few enough for the longest names
def _is_name(name: bytes) -> bool:
    return bool(_NAME.fullmatch(name)) and name not in _OF_CONNECTION


def content_length(fields: Sequence[Field]) -> int | None:
    """Returns the content-length of a message, None if it has none. Raises StreamFault (section 8.1.1)."""
    values = {value for name, value in fields if name == b"content-length"}
    if not values:
        return None
    value = values.pop()
    if values or not _LENGTH.fullmatch(value):
        raise malformed(b"content-length", value)
    return int(value)


def text(value: bytes) -> str:
    """Returns a value of metadata in ASCII."""
    return value.strip(b" \t").decode("latin-1")


def metadata(name: bytes, value: bytes) -> list[tuple[str, str | bytes]]:
    """Returns the pairs of metadata in a field. Raises StreamFault."""
    key = name.decode()
    if not key.endswith("-bin"):
        return [(key, text(value))]
    # Several values may be joined by commas, and padding is optional.
    try:
        return [
            (key, base64.b64decode(each + b"=" * (-len(each) % 4), validate=True))
            for each in (piece.strip() for piece in value.split(b","))
        ]
    except binascii.Error:
        raise malformed(name, value) from None


def encode_metadata(metadata: Metadata) -> bytes:
    """Returns the fields of metadata as a part of a header block."""
    block = b""
    for name, value in metadata:
        if isinstance(value, bytes):
            encoded = base64.b64encode(value).rstrip(b"=")
        else:
            encoded = value.encode("latin-1").strip(b" \t")  # RFC 9113, section 8.2.1
        block += _name(name) + encode_string(encoded)
    return block


@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    return encode_name(name.encode("ascii"), never_indexed=name in _SECRETS)


def malformed(name: bytes, value: bytes) -> StreamFault:
    """Returns the error of a field."""
    return StreamFault(ErrorCode.PROTOCOL_ERROR, f"a malformed field {name[:100]!r}: {value[:100]!r}")
