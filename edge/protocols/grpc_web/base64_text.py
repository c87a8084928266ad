"""Base64 as gRPC-Web sends it: in chunks, each of which may end with padding where the sender flushed."""

import binascii
import re
from base64 import b64decode
from collections.abc import AsyncGenerator
from contextlib import aclosing

from edge.http.small_pieces import small_pieces
from mesh.errors import InvalidArgument

_CHUNK = re.compile(rb"[^=]*={0,2}")


async def decode_base64(body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Decodes a body as it arrives. Raises InvalidArgument if it is not base64."""
    rest = b""
    async with aclosing(small_pieces(body)) as pieces:
        async for piece in pieces:
            text = rest + piece
            whole = len(text) - len(text) % 4
            rest = text[whole:]
            yield b"".join(_decode(chunk) for chunk in _CHUNK.findall(text[:whole]))
    if rest:
        raise _malformed()


def _decode(chunk: bytes) -> bytes:
    try:
        return b64decode(chunk, validate=True)
    except binascii.Error:
        raise _malformed() from None


def _malformed() -> InvalidArgument:
    return InvalidArgument("The body is not base64.", reason="BODY_MALFORMED")
