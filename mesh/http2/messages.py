"""Length-prefixed messages in the data of a stream: Length-Prefixed-Message in gRPC's PROTOCOL-HTTP2.md."""

import struct
import zlib
from typing import Final

from mesh.errors import Code
from mesh.rpc.call_error import CallError

PREFIX_BYTES: Final = 5
ACCEPTED_ENCODINGS: Final = b"identity,deflate,gzip"

_PREFIX = struct.Struct(">BL")
_PLAIN: Final = 0
_COMPRESSED: Final = 1

# zlib's window bits of a gzip stream and of a zlib stream (RFC 1950), which is HTTP's deflate.
_WINDOW_BITS: Final = {b"gzip": 31, b"deflate": 15}


def prefixed(message: bytes) -> bytes:
    """Returns a message with its prefix, uncompressed."""
    return _PREFIX.pack(_PLAIN, len(message)) + message


class MessageReader:
    """The messages of a stream, from the pieces in which its data arrive."""

    __slots__ = ("_bytes_max", "_encoding", "_needed", "_pieces", "_received")

    def __init__(self, bytes_max: int) -> None:
        """`bytes_max` is the size of the largest message, also after decompression."""
        self._bytes_max = bytes_max
        self._encoding = b"identity"
        self._pieces: list[bytes] = []
        self._received = 0
        self._needed = PREFIX_BYTES  # of the next message with its prefix, or of the prefix until that has arrived

    @property
    def has_part(self) -> bool:
        """Returns whether a message has begun and not ended."""
        return self._received > 0

    @property
    def missing(self) -> int:
        """Returns how many bytes of the next message are known to be missing."""
        return self._needed - self._received

    def start(self, encoding: bytes) -> None:
        """Sets the encoding of the compressed messages: the header grpc-encoding."""
        self._encoding = encoding

    def feed(self, piece: bytes) -> list[tuple[bytes, int]]:
        """Returns the messages that a piece completes, each with the bytes that it took on the wire. Raises
        CallError.
        """
        received = self._received + len(piece)
        if received < self._needed:
            self._pieces.append(piece)
            self._received = received
            return []
        data = b"".join((*self._pieces, piece)) if self._pieces else piece
        messages: list[tuple[bytes, int]] = []
        start, end, self._needed = 0, len(data), PREFIX_BYTES
        while end - start >= PREFIX_BYTES:
            flag, length = _PREFIX.unpack_from(data, start)
            if length > self._bytes_max:
                raise _too_large(length, self._bytes_max)
            self._needed = PREFIX_BYTES + length
            if end - start < self._needed:
                break
            content = data[start + PREFIX_BYTES : start + self._needed]
            messages.append((self._decompressed(flag, content) if flag else content, self._needed))
            start += self._needed
            self._needed = PREFIX_BYTES
        self._pieces = [data[start:]] if start < end else []
        self._received = end - start
        return messages

    def _decompressed(self, flag: int, content: bytes) -> bytes:
        """Returns a compressed message. Raises CallError."""
        window_bits = _WINDOW_BITS.get(self._encoding)
        if flag != _COMPRESSED or window_bits is None:
            raise CallError(Code.INTERNAL, f"a message of the flags {flag} in the encoding {self._encoding!r}")
        decompressor = zlib.decompressobj(window_bits)
        try:
            message = decompressor.decompress(content, self._bytes_max + 1)
        except zlib.error as error:
            raise CallError(Code.INTERNAL, f"a message that can't be decompressed: {error}") from error
        if len(message) > self._bytes_max:
            raise _too_large(len(message), self._bytes_max)
        if not decompressor.eof or decompressor.unused_data:
            raise CallError(Code.INTERNAL, "a compressed message that does not end where it should")
        return message


def _too_large(length: int, bytes_max: int) -> CallError:
    return CallError(Code.RESOURCE_EXHAUSTED, f"a message of {length} bytes, where {bytes_max} are allowed")
