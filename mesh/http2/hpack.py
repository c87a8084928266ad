"""HPACK: RFC 7541. We encode without the dynamic table: what is the same in all blocks is encoded once, and kept."""

from collections import deque
from functools import lru_cache
from typing import Final

from mesh.http2 import huffman
from mesh.http2.faults import ConnectionFault, ErrorCode, StreamFault

Field = tuple[bytes, bytes]

FIELD_BYTES: Final = 32
"""What each field adds to the size of a list beside its name and value: RFC 9113, section 6.5.2."""

INDEXED: Final = 0x80
WITH_INDEXING: Final = 0x40
SIZE_UPDATE: Final = 0x20
NEVER_INDEXED: Final = 0x10

SIZED_TO_0: Final = bytes((SIZE_UPDATE,))
"""The update that empties the dynamic table for good: section 6.3."""

SIZE_UPDATES_MAX: Final = 2

FUTILE_FACTOR: Final = 4
"""By how much a list may be too large before it ends the connection: what follows it needs the table behind it."""

KEPT_BYTES_MAX: Final = 2_048
"""The longest string of Huffman code that is kept with what it decodes to. Longer ones could take much memory."""

_HUFFMAN: Final = 0x80
_INTEGER_BYTES_MAX: Final = 5

# RFC 7541, appendix A.
_STATIC_TABLE: Final[tuple[Field, ...]] = (
    *((b":authority", b""), (b":method", b"GET"), (b":method", b"POST"), (b":path", b"/"), (b":path", b"/index.html")),
    *((b":scheme", b"http"), (b":scheme", b"https")),
    *((b":status", status) for status in (b"200", b"204", b"206", b"304", b"400", b"404", b"500")),
    *((b"accept-charset", b""), (b"accept-encoding", b"gzip, deflate")),
    *(
        (name, b"")
        for name in (
            b"accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control"
            b" content-disposition content-encoding content-language content-length content-location content-range"
            b" content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range"
            b" if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization"
            b" range referer refresh retry-after server set-cookie strict-transport-security transfer-encoding"
            b" user-agent vary via www-authenticate"
        ).split()
    ),
)

_STATIC_COUNT: Final = len(_STATIC_TABLE)


def encode_integer(value: int, prefix_bits: int, pattern: int) -> bytes:
    """Returns an integer behind the bits of a pattern: section 5.1."""
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes((pattern | value,))
    encoded = bytearray((pattern | most,))
    value -= most
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_LENGTHS_COUNT: Final = 1024
_LENGTHS: Final = [encode_integer(length, 7, 0) for length in range(_LENGTHS_COUNT)]
"""The lengths of most strings, tokens among them, as they are encoded."""


def encode_string(value: bytes) -> bytes:
    """Returns a string literal without Huffman code, which would cost time and save a few bytes: section 5.2."""
    length = len(value)
    return (_LENGTHS[length] if length < _LENGTHS_COUNT else encode_integer(length, 7, 0)) + value


def encode_name(name: bytes, *, never_indexed: bool = False) -> bytes:
    """Returns the start of a literal field, which ends with the value as encode_string() returns it: section 6.2.
    Proxies too keep a field out of their tables that is never indexed: section 7.1.
    """
    return (b"\x10" if never_indexed else b"\0") + encode_string(name)


class Decoder:
    """The decoder of the header blocks of one connection, with the dynamic table that they share: section 2.3.2."""

    def __init__(self, table_bytes_max: int) -> None:
        """`table_bytes_max` is the SETTINGS_HEADER_TABLE_SIZE that we have announced; 4096 if we have not."""
        self._table_bytes_max = table_bytes_max
        self._limit = table_bytes_max
        self._table: deque[Field] = deque()
        self._table_bytes = 0

    def decode(self, block: bytes, list_bytes_max: int) -> list[Field]:
        """Returns the fields of a header block. Raises ConnectionFault if it is malformed, StreamFault if its list is
        larger than `list_bytes_max`. With a table such a block is decoded to its end, because later blocks refer to its
        fields, or ends the connection if it is larger still.
        """
        # FIELD_BYTES is more than any encoder adds to a field, so that the list of a longer block is longer still.
        if not self._table_bytes_max and len(block) > list_bytes_max:
            raise _too_large(list_bytes_max)
        try:
            fields, list_bytes = self._decode(block, list_bytes_max)
        except (IndexError, ValueError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"a malformed header block: {error}") from error
        if list_bytes > list_bytes_max:
            raise _too_large(list_bytes_max)
        return fields

    def _decode(self, block: bytes, list_bytes_max: int) -> tuple[list[Field], int]:
        """Returns the fields, and their size: RFC 9113, section 6.5.2."""
        fields: list[Field] = []
        offset, list_bytes, end = self._resize(block), 0, len(block)
        while offset < end:
            first = block[offset]
            if first & INDEXED:
                index, offset = _integer(block, offset, 7)
                field = self._field(index)
            elif first & SIZE_UPDATE and not first & WITH_INDEXING:
                raise ValueError("a size update where none belongs")
            else:
                index, offset = _integer(block, offset, 6 if first & WITH_INDEXING else 4)
                if index:
                    name = self._field(index)[0]
                else:
                    name, offset = _string(block, offset)
                value, offset = _string(block, offset)
                field = name, value
                if first & WITH_INDEXING:
                    self._add(field)
            fields.append(field)
            list_bytes += len(field[0]) + len(field[1]) + FIELD_BYTES
            if list_bytes > list_bytes_max:
                self._check_worth(list_bytes, list_bytes_max)
        return fields, list_bytes

    def _check_worth(self, list_bytes: int, list_bytes_max: int) -> None:
        """Raises if a list is too large, and nothing needs the rest of it; or if it is hopelessly large."""
        if not self._table_bytes_max:
            raise _too_large(list_bytes_max)
        if list_bytes > list_bytes_max * FUTILE_FACTOR:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"headers of {list_bytes} bytes and more")

    def _resize(self, block: bytes) -> int:
        """Handles the size updates at the start, of which there are two at most (section 4.2). Returns the offset of
        the first field.
        """
        offset = 0
        for _ in range(SIZE_UPDATES_MAX):
            if offset == len(block) or block[offset] & 0xE0 != SIZE_UPDATE:
                break
            limit, offset = _integer(block, offset, 5)
            if limit > self._table_bytes_max:
                raise ValueError(f"a dynamic table of {limit} bytes, where {self._table_bytes_max} are allowed")
            self._limit = limit
            self._evict()
        return offset

    def _field(self, index: int) -> Field:
        if not index:
            raise ValueError("the index 0 of no field")
        return _STATIC_TABLE[index - 1] if index <= _STATIC_COUNT else self._table[index - _STATIC_COUNT - 1]

    def _add(self, field: Field) -> None:
        """Adds a field to the table. One that is larger than the table empties it: section 4.4."""
        self._table.appendleft(field)
        self._table_bytes += len(field[0]) + len(field[1]) + FIELD_BYTES
        self._evict()

    def _evict(self) -> None:
        while self._table_bytes > self._limit:
            name, value = self._table.pop()
            self._table_bytes -= len(name) + len(value) + FIELD_BYTES


def _too_large(list_bytes_max: int) -> StreamFault:
    return StreamFault(ErrorCode.PROTOCOL_ERROR, f"headers of more than {list_bytes_max} bytes")


def _integer(block: bytes, offset: int, prefix_bits: int) -> tuple[int, int]:
    """Returns an integer and the offset behind it."""
    most = (1 << prefix_bits) - 1
    value = block[offset] & most
    offset += 1
    if value < most:
        return value, offset
    for position in range(_INTEGER_BYTES_MAX):
        byte = block[offset + position]
        value += (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return value, offset + position + 1
    raise ValueError("an integer of too many bytes")


def _string(block: bytes, offset: int) -> tuple[bytes, int]:
    """Returns a string and the offset behind it."""
    is_huffman = block[offset] & _HUFFMAN
    length, start = _integer(block, offset, 7)
    end = start + length
    if end > len(block):
        raise ValueError("a string beyond the end")
    data = block[start:end]
    return _decoded(data) if is_huffman else data, end


_LONG_BYTES: Final = 64

_short = lru_cache(maxsize=512)(huffman.decode)
_long = lru_cache(maxsize=512)(huffman.decode)
"""Clients send the same strings again, and some longer ones, such as tokens, never by an index of the table. These are
kept apart, because others that differ with each call, such as its identifier, would soon displace them.
"""


def _decoded(data: bytes) -> bytes:
    if len(data) > KEPT_BYTES_MAX:
        return huffman.decode(data)
    return _long(data) if len(data) >= _LONG_BYTES else _short(data)
