"""Length-prefixed messages in the data of a stream: Length-Prefixed-Message in gRPC's PROTOCOL-HTTP2.md."""

import struct
import zlib
from typing import Final

from mesh.errors import Code
from mesh.rpc.call_error import CallError

PREFIX_BYTES: Final = 5
ENCODINGS: Final = (b"identity", b"deflate", b"gzip")
ACCEPTED_ENCODINGS: Final = b",".join(ENCODINGS)

Packed = tuple[int, bytes]
"""The flag of a message, and its content, which is compressed if the flag says so."""

_PREFIX = struct.Struct(">BL")
_PLAIN: Final = 0
_COMPRESSED: Final = 1

SMALL_BYTES: Final = 1_024
SMALL_PIECES_MAX: Final = 20_000
"""The most pieces of less than SMALL_BYTES in which one message may arrive: each costs us more than its sender."""

# zlib's window bits of a gzip stream and of a zlib stream (RFC 1950), which is HTTP's deflate.
_WINDOW_BITS: Final = {b"gzip": 31, b"deflate": 15}


def prefixed(message: bytes) -> bytes:
    """Returns a message with its prefix, uncompressed."""
    return _PREFIX.pack(_PLAIN, len(message)) + message


class MessageReader:
    """The messages of a stream, from the pieces in which its data arrive."""

    __slots__ = ("_bytes_max", "_encoding", "_needed", "_pieces", "_received", "_small_pieces")

    def __init__(self, bytes_max: int) -> None:
        """`bytes_max` is the size of the largest message, also after decompression."""
        self._bytes_max = bytes_max
        self._encoding = b"identity"
        self._pieces: list[bytes | bytearray] = []
        self._small_pieces = 0
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

    def feed(self, piece: bytes) -> list[Packed]:
        """Returns the messages that a piece completes. Raises CallError."""
        received = self._received + len(piece)
        if received < self._needed:
            self._keep(piece)
            self._received = received
            return []
        messages: list[Packed] = []
        if self._needed > PREFIX_BYTES and self._pieces:
            piece = self._complete(piece, messages)
        elif self._pieces:
            piece = b"".join((*self._pieces, piece))
        start, end, self._needed = 0, len(piece), PREFIX_BYTES
        while end - start >= PREFIX_BYTES:
            flag, length = _PREFIX.unpack_from(piece, start)
            if length > self._bytes_max:
                raise _too_large(length, self._bytes_max)
            self._needed = PREFIX_BYTES + length
            if end - start < self._needed:
                break
            self._check(flag)
            messages.append((flag, piece[start + PREFIX_BYTES : start + self._needed]))
            start += self._needed
            self._needed = PREFIX_BYTES
        self._pieces = [piece[start:]] if start < end else []
        self._received, self._small_pieces = end - start, 0
        return messages

    def _complete(self, piece: bytes, messages: list[Packed]) -> bytes:
        """Adds the message that has begun, whose pieces are copied once. Returns what follows it in the last piece."""
        begun, *others = self._pieces
        flag, end = begun[0], self.missing
        self._check(flag)
        messages.append((flag, b"".join((memoryview(begun)[PREFIX_BYTES:], *others, memoryview(piece)[:end]))))
        return piece[end:]

    def _check(self, flag: int) -> None:
        if flag and (flag != _COMPRESSED or self._encoding not in _WINDOW_BITS):
            raise CallError(Code.INTERNAL, f"a message of the flags {flag} in the encoding {self._encoding!r}")

    def _keep(self, piece: bytes) -> None:
        """Keeps a piece. Small ones are joined, because each would take several times its size."""
        if len(piece) >= SMALL_BYTES:
            self._pieces.append(piece)
            return
        self._small_pieces += 1
        if self._small_pieces > SMALL_PIECES_MAX:
            raise CallError(Code.INTERNAL, f"a message in more than {SMALL_PIECES_MAX} small pieces")
        if self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))

    def unpacked(self, flag: int, content: bytes) -> bytes:
        """Returns a message, decompressed. That is not done before it is read, because it may be a thousand times as
        large as its part of the window. Raises CallError.
        """
        if not flag:
            return content
        decompressor = zlib.decompressobj(_WINDOW_BITS[self._encoding])
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
