"""The envelopes of messages in a body: a byte of flags, the length of the message in four bytes, the message.

The envelopes of Connect and gRPC-Web are those of gRPC over HTTP/2:
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Length-Prefixed-Message.
"""

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from edge.http.errors import HttpError
from edge.http.held_bytes import HeldByteCounter
from edge.http.whole_body import BodyLimits
from mesh.errors import InvalidArgument, ResourceExhausted

COMPRESSED_FLAG: Final = 0x01
"""The flag of a compressed message."""

_HEAD: Final = struct.Struct(">BI")


def write_envelope(message: bytes, flags: int = 0) -> bytes:
    """Returns a message in its envelope."""
    return _HEAD.pack(flags, len(message)) + message


async def read_envelopes(
    body: AsyncIterator[bytes], limits: BodyLimits, held: HeldByteCounter
) -> AsyncGenerator[tuple[int, bytes], None]:
    """Yields the flags and the content of each envelope in a body, as they arrive.

    Raises ResourceExhausted for an envelope that is too large, before it is read; HttpError 408 for one that has begun
    and does not arrive in time; InvalidArgument if the body ends inside an envelope.
    """
    buffer = bytearray()
    while await _fill(buffer, body, 1, held):
        try:
            async with asyncio.timeout(limits.timeout_s):
                flags, end = await _fill_envelope(buffer, body, limits, held)
        except TimeoutError as error:
            text = f"The message did not arrive within {limits.timeout_s:g} s."
            raise HttpError(408, text, "BODY_TIMEOUT") from error
        content = bytes(buffer[_HEAD.size : end])
        del buffer[:end]
        held.set(len(buffer))
        yield flags, content


async def _fill_envelope(
    buffer: bytearray, body: AsyncIterator[bytes], limits: BodyLimits, held: HeldByteCounter
) -> tuple[int, int]:
    """Reads the envelope at the start of the buffer. Returns its flags and the index of its end."""
    if await _fill(buffer, body, _HEAD.size, held):
        flags, length = _HEAD.unpack_from(buffer)
        if length > limits.size_bytes_max:
            raise too_large(limits)
        if await _fill(buffer, body, _HEAD.size + length, held):
            return flags, _HEAD.size + length
    raise InvalidArgument("The body ends inside a message.", reason="BODY_INCOMPLETE")


async def _fill(buffer: bytearray, body: AsyncIterator[bytes], size_bytes: int, held: HeldByteCounter) -> bool:
    """Reads until the buffer holds this many bytes. Returns False if the body ends before."""
    while len(buffer) < size_bytes:
        piece = await anext(body, None)
        if piece is None:
            return False
        buffer += piece
        held.set(len(buffer))
    return True


def too_large(limits: BodyLimits) -> ResourceExhausted:
    """Returns the error of a message that is too large."""
    text = f"The message is larger than {limits.size_bytes_max} bytes."
    return ResourceExhausted(text, reason="BODY_TOO_LARGE", metadata={"limit_bytes": str(limits.size_bytes_max)})
